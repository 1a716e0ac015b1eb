// The picture: live while it is painted, and compared with the photograph.

import { ask, attempt, complain, element } from "./api.js";

const get = (id) => document.getElementById(id);

export class Easel {
  /** `adopt` receives the settings of a finished picture, if they are to be used again. */
  constructor(adopt) {
    this.figure = get("compare");
    this.slider = this.figure.querySelector("input");
    this.shown = null; // the id of the work that is shown, or "job"
    this.sources = { before: "", after: "" };
    this.slider.addEventListener("input", () => this.split());
    get("format").addEventListener("change", () => this.link());
    get("reuse").addEventListener("click", () => attempt(async () => adopt(await ask("GET", `works/${this.shown}/settings`))));
    get("remove").addEventListener("click", () => attempt(async () => {
      await ask("DELETE", `works/${this.shown}`);
      this.clear();
    }));
  }

  split() {
    this.figure.style.setProperty("--split", `${this.slider.value}%`);
  }

  /** Loads a picture before it takes the place of the one that is shown, so that none flickers. */
  async load(side, source) {
    if (this.sources[side] === source) return;
    this.sources[side] = source;
    const old = this.figure.querySelector(`.${side}`);
    const image = element("img", { className: side, alt: old.alt, src: source });
    try {
      await image.decode();
    } catch {
      return; // a newer preview has taken its place
    }
    if (this.sources[side] !== source) return;
    this.figure.querySelector(`.${side}`).replaceWith(image);
    if (side === "after") {
      this.figure.style.setProperty("--width", image.naturalWidth);
      this.figure.style.setProperty("--height", image.naturalHeight);
    }
    get("empty").hidden = true;
    this.figure.hidden = false;
  }

  showJob(job) {
    if (this.shown !== "job") this.slider.value = 0;
    this.shown = "job";
    get("work").hidden = true;
    if (job.before) this.load("before", `job/${job.id}/before`);
    if (job.previews) this.load("after", `job/${job.id}/preview?${job.previews}`);
    else if (job.before) this.load("after", `job/${job.id}/before?`);
    this.split();
  }

  showWork(work) {
    this.shown = work.id;
    this.load("before", `works/${work.id}/before`);
    this.load("after", `works/${work.id}/picture`);
    const [width, height] = work.size, notes = work.notes.map((note) => ` · ${note}`).join("");
    get("caption").replaceChildren(work.name.replace("__", " in the manner of ").replaceAll("_", " ").replaceAll("+", " and "), " ", element("small", { textContent: `${width} × ${height} px${notes}` }));
    get("work").hidden = false;
    this.link();
    this.split();
  }

  link() {
    get("download").href = `works/${this.shown}/download?format=${get("format").value}`;
  }

  clear() {
    this.shown = null;
    this.sources = { before: "", after: "" };
    this.figure.hidden = get("work").hidden = true;
    get("empty").hidden = false;
  }

  /** The line below the picture, and the progress. */
  report(job) {
    const bar = document.querySelector("progress"), active = isActive(job);
    const text = job ? words(job) : "";
    get("status").textContent = job?.state === "failed" ? "" : text;
    bar.hidden = !active;
    if (job?.state === "painting") bar.value = job.fraction;
    else bar.removeAttribute("value");
    document.title = active ? `${job.state === "painting" ? `${Math.round(100 * job.fraction)} %` : "…"} · bnnjax` : "bnnjax";
    const stage = job && `${job.id} ${job.state} ${Math.floor(4 * job.fraction)} ${job.before_it}`;
    if (stage !== this.stage) {
      this.stage = stage;
      get("announcement").textContent = text;
      if (job?.state === "failed") complain(job.fault);
    }
  }
}

export const isActive = (job) => Boolean(job) && ["waiting", "preparing", "painting"].includes(job.state);

function words(job) {
  if (job.state === "waiting") {
    if (!job.before_it) return "Your turn comes next.";
    return `Waiting in line: ${job.before_it === 1 ? "one picture comes" : `${job.before_it} pictures come`} before yours.`;
  }
  if (job.state === "preparing") return "Preparing. The first picture of a new size can take a minute.";
  if (job.state === "painting") return `Painting: ${Math.round(100 * job.fraction)} %${left(job.seconds_left)}`;
  if (job.state === "failed") return job.fault;
  if (job.state === "stopped") return job.work ? "Stopped. The picture so far is kept." : "Stopped.";
  return "Finished.";
}

function left(seconds) {
  if (seconds === null) return "";
  if (seconds < 60) return `, about ${Math.max(1, seconds < 10 ? seconds : 5 * Math.round(seconds / 5))} s left`;
  return `, about ${Math.round(seconds / 60)} min left`;
}
