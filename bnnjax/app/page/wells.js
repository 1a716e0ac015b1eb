// The choice of photograph and paintings: samples, and what the visitor drops.

import { ask, attempt, complain, element, send, takeFiles } from "./api.js";

export class Well {
  /** `kind` is "photograph" or "painting"; `changed` is called when the choice changes. */
  constructor(kind, offer, changed) {
    this.kind = kind;
    this.offer = offer;
    this.changed = changed;
    this.most = kind === "photograph" ? 1 : offer.most_paintings;
    this.pictures = new Map(); // id → { name, own, tile, input }
    this.order = []; // the ids of chosen paintings, in the order of their choice
    const well = document.querySelector(`.well[data-kind=${kind}]`);
    this.tiles = well.querySelector(".tiles");
    const input = element("input", { type: "file", accept: "image/png,image/jpeg,image/webp", multiple: kind === "painting" });
    input.id = `add-${kind}`;
    this.add = element("div", { className: "tile add" }, element("label", {}, input, `Drop or choose ${kind === "painting" ? "paintings" : "a photograph"}`));
    this.tiles.append(this.add);
    takeFiles(well, input, (files) => this.receive(files));
    for (const { id, name } of offer.samples.filter((sample) => sample.kind === kind)) this.show(id, name.replace("_", " "), false);
  }

  show(id, name, own) {
    if (this.pictures.has(id)) return;
    const input = element("input", { type: this.kind === "photograph" ? "radio" : "checkbox", name: this.kind, value: id });
    const label = element("label", { title: name }, input, element("img", { src: `pictures/${id}/thumbnail`, alt: "" }), element("span", { className: "name", textContent: name }));
    const tile = element("div", { className: "tile" }, label);
    if (own) {
      const close = element("button", { type: "button", className: "close", textContent: "×" });
      close.setAttribute("aria-label", `Remove ${name}`);
      close.addEventListener("click", () => attempt(() => this.remove(id)));
      tile.append(close);
    }
    input.addEventListener("change", () => this.choose(id, input.checked));
    this.tiles.insertBefore(tile, this.add);
    this.pictures.set(id, { name, own, tile, input });
  }

  async receive(files) {
    complain("");
    let first = !this.order.some((id) => this.pictures.get(id).own); // it takes the samples' place
    for (const file of files) {
      const waiting = element("div", { className: "tile busy" }, element("img", { alt: "" }), element("span", { className: "name", textContent: `${file.name} …` }));
      this.tiles.insertBefore(waiting, this.add);
      try {
        const { id, name } = await send(`pictures?kind=${this.kind}`, file, this.offer.upload_mib);
        this.show(id, name, true);
        if (first) this.chooseAll([id]);
        else this.choose(id, true);
        first = false;
      } catch (error) {
        complain(error.message);
      } finally {
        waiting.remove();
      }
    }
  }

  async remove(id) {
    await ask("DELETE", `pictures/${id}`);
    this.pictures.get(id).tile.remove();
    this.pictures.delete(id);
    this.choose(id, false);
    this.add.querySelector("input").focus();
  }

  choose(id, chosen) {
    this.order = this.order.filter((other) => other !== id);
    if (chosen) this.order = [...this.order, id].slice(-this.most);
    this.pictures.forEach(({ input }, own) => { input.checked = this.order.includes(own); });
    this.changed();
  }

  chooseAll(ids) {
    this.order = ids.filter((id) => this.pictures.has(id)).slice(0, this.most);
    this.pictures.forEach(({ input }, own) => { input.checked = this.order.includes(own); });
    this.changed();
  }

  name(id) {
    return this.pictures.get(id)?.name || "";
  }
}

/** The shares of a blend: one slider per chosen painting, if there are several. */
export class Shares {
  constructor(well) {
    this.well = well;
    this.values = new Map();
    this.box = document.getElementById("shares");
  }

  get() {
    return this.well.order.map((id) => this.values.get(id) ?? 1);
  }

  set(values) {
    this.well.order.forEach((id, place) => this.values.set(id, values[place] ?? 1));
    this.draw();
  }

  draw() {
    const ids = this.well.order;
    this.box.hidden = ids.length < 2;
    const outputs = [];
    const write = () => {
      const all = this.get(), sum = all.reduce((a, b) => a + b);
      outputs.forEach((output, place) => { output.textContent = `${Math.round((100 * all[place]) / sum)} %`; });
    };
    const rows = ids.map((id) => {
      const value = this.values.get(id) ?? 1, name = this.well.name(id), output = element("output");
      const slider = element("input", { type: "range", min: 0.1, max: Math.max(2, value), step: 0.05, value });
      slider.setAttribute("aria-label", `Share of ${name}`);
      slider.addEventListener("input", () => { this.values.set(id, slider.valueAsNumber); write(); });
      outputs.push(output);
      return element("div", { className: "row" }, element("span", { textContent: name, title: name }), slider, output);
    });
    this.box.replaceChildren(element("p", { className: "hint", textContent: "They are blended in these shares." }), ...rows);
    if (ids.length) write();
  }
}
