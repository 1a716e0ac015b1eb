// Strength, strokes, colours, size, care and network; and the settings of a picture made before.

import { attempt, element, send, takeFiles } from "./api.js";

const get = (id) => document.getElementById(id);
const SLIDERS = ["strength", "stroke_size"];
const CARE = new Map([[100, "sketch"], [200, "quick"], [400, "thorough"], [800, "patient"]]);
const sizeLabel = (size) => `${size} px`;
const careLabel = (steps) => `${CARE.has(steps) ? `${CARE.get(steps)}, ` : ""}${steps} steps`;

export class Controls {
  constructor(offer) {
    this.offer = offer;
    this.recipe = null;
    for (const name of SLIDERS) get(name).addEventListener("input", () => this.write());
    get("network").append(...offer.networks.map((name) => element("option", { value: name, textContent: name })));
    get("network").addEventListener("change", () => this.write());
    for (const size of offer.sizes) addChoice(get("size"), size, sizeLabel);
    for (const steps of offer.steps) addChoice(get("steps"), steps, careLabel);
    get("settings-forget").addEventListener("click", () => this.forget());
    this.set(offer.usual);
  }

  get() {
    return {
      strength: get("strength").valueAsNumber,
      stroke_size: get("stroke_size").valueAsNumber,
      colors: document.querySelector("input[name=colors]:checked").value,
      size: Number(get("size").value),
      steps: Number(get("steps").value),
      network: get("network").value,
      recipe: this.recipe,
    };
  }

  set(values) {
    for (const name of SLIDERS) {
      const slider = get(name), value = values[name];
      slider.min = Math.min(slider.min, value);
      slider.max = Math.max(slider.max, value);
      slider.value = value;
    }
    document.querySelector(`input[name=colors][value=${values.colors}]`).checked = true;
    addChoice(get("size"), values.size, sizeLabel).selected = true;
    addChoice(get("steps"), values.steps, careLabel).selected = true;
    if (values.network) get("network").value = values.network;
    this.write();
  }

  write() {
    for (const name of SLIDERS) document.querySelector(`output[for=${name}]`).textContent = Number(get(name).value.slice(0, 5));
    get("network-hint").hidden = !this.offer.remote.includes(get("network").value);
  }

  /** Shows what a recipe says. */
  adopt(settings) {
    this.set(settings);
    this.recipe = settings.recipe;
    const others = settings.others.length ? [`Also: ${settings.others.join(", ")}.`] : [];
    get("settings-name").textContent = `These are the settings of ${settings.name}.`;
    get("settings").querySelector("ul").replaceChildren(...[...others, ...settings.notes].map((text) => element("li", { textContent: text })));
    get("settings").hidden = false;
    get("settings").scrollIntoView({ block: "nearest" });
  }

  forget() {
    this.recipe = null;
    get("settings").hidden = true;
    this.set(this.offer.usual);
    get("recipe").querySelector("input").focus();
  }
}

/** Lets a picture made before be dropped; `adopt` receives its settings. */
export function takeRecipes(offer, adopt) {
  const drop = get("recipe");
  takeFiles(drop, drop.querySelector("input"), ([file]) => file && attempt(async () => {
    adopt(await send("recipes", file, offer.upload_mib));
  }));
}

/** The option of a value, added in its place if there is none. */
function addChoice(select, value, label) {
  const options = [...select.options];
  const found = options.find((option) => Number(option.value) === value);
  if (found) return found;
  const made = element("option", { value, textContent: label(value) });
  select.insertBefore(made, options.find((option) => Number(option.value) > value) || null);
  return made;
}
