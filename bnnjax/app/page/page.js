// Puts the parts together: sends orders, and shows what the server reports.

import { ask, attempt, complain, element } from "./api.js";
import { Controls, takeRecipes } from "./controls.js";
import { Easel, isActive } from "./easel.js";
import { Shares, Well } from "./wells.js";

const get = (id) => document.getElementById(id);
const offer = await ask("GET", "offer");
const controls = new Controls(offer);
const photographs = new Well("photograph", offer, () => {});
const paintings = new Well("painting", offer, () => shares.draw());
const shares = new Shares(paintings);
const easel = new Easel(adopt);
let report = { job: null, works: [], pictures: [] };
let followed = null; // the job whose picture is shown when it is finished

photographs.chooseAll(offer.samples.filter((s) => s.kind === "photograph").map((s) => s.id));
paintings.chooseAll(offer.samples.filter((s) => s.kind === "painting").map((s) => s.id).slice(0, 1));
takeRecipes(offer, adopt);

function adopt(settings) {
  controls.adopt(settings);
  if (settings.photograph) photographs.chooseAll([settings.photograph]);
  if (settings.paintings) {
    paintings.chooseAll(settings.paintings);
    shares.set(settings.shares);
  }
}

get("order").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    const form = { ...controls.get(), photograph: photographs.order[0], paintings: paintings.order, shares: shares.get() };
    get("paint").disabled = true;
    try {
      followed = (await ask("POST", "job", JSON.stringify(form))).id;
      easel.shown = "job";
      document.body.classList.add("busy"); // which makes room to scroll to
      if (matchMedia("(max-width: 820px)").matches) get("easel").scrollIntoView();
    } finally {
      show();
    }
  });
});
get("stop").addEventListener("click", () => attempt(() => ask("DELETE", "job")));

// --- what the server reports -----------------------------------------------------------------

function show() {
  const { job, works } = report, active = isActive(job);
  get("paint").disabled = active;
  get("stop").hidden = !active;
  document.body.classList.toggle("busy", active);
  easel.report(job);
  if (active && (easel.shown === "job" || easel.shown === null)) {
    followed = job.id;
    easel.showJob(job);
  } else if (job?.work && followed === job.id) {
    followed = null;
    const work = works.find(({ id }) => id === job.work);
    if (work && easel.shown === "job") easel.showWork(work);
  } else if (!active && easel.shown === "job" && job && job.id === followed) {
    easel.clear(); // it failed, or was stopped before there was a picture
  } else if (easel.shown === null && works.length) {
    easel.showWork(works.at(-1)); // after a reload
  }
  history(works, active ? job : null);
}

function history(works, job) {
  const tile = (id, source, name, onclick) => {
    const button = element("button", { type: "button", onclick }, element("img", { src: source, alt: "" }), element("span", { textContent: name }));
    button.setAttribute("aria-current", easel.shown === id);
    button.dataset.id = id;
    return element("li", {}, button);
  };
  const list = get("history").querySelector("ul"), focused = document.activeElement?.dataset?.id;
  const key = JSON.stringify([works.map(({ id }) => id), easel.shown, job?.id, job?.before]);
  get("history").hidden = !works.length && !(job && easel.shown !== "job");
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  const finished = works.map((work) => tile(work.id, `works/${work.id}/thumbnail`, work.name.replace("__", ", "), () => { easel.showWork(work); show(); })).reverse();
  if (job && works.length) finished.unshift(tile("job", job.before ? `job/${job.id}/before` : "page/icon.svg", "being painted", () => { easel.shown = "job"; show(); }));
  list.replaceChildren(...finished);
  if (focused) list.querySelector(`[data-id="${focused}"]`)?.focus();
}

const events = new EventSource("events");
events.onmessage = ({ data }) => {
  report = JSON.parse(data);
  for (const { id, name, kind } of report.pictures) (kind === "photograph" ? photographs : paintings).show(id, name, true);
  show();
};
events.onerror = () => {
  complain(events.readyState === EventSource.CLOSED ? "The server was started anew. Please load this page again." : "The connection to the server is lost; trying again.");
};
events.onopen = () => complain("");

// --- files dropped beside the wells are not opened by the browser ----------------------------

let depth = 0;
addEventListener("dragenter", () => { depth += 1; document.body.classList.add("dragged"); });
addEventListener("dragleave", () => { depth -= 1; document.body.classList.toggle("dragged", depth > 0); });
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => { event.preventDefault(); depth = 0; document.body.classList.remove("dragged"); });
