// Questions to the server. Addresses are relative, so that the page may live below any path.

export async function ask(method, path, body) {
  let response;
  try {
    response = await fetch(path, { method, body });
  } catch {
    throw new Error("The server does not answer. Is it still running?");
  }
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.fault || `The server answers ${response.status}.`);
  return answer;
}

/** Sends a file as it is; `most` is the limit in MiB, checked before anything is sent. */
export function send(path, file, most) {
  if (file.size > most * 2 ** 20) throw new Error(`${file.name}: is larger than ${most} MiB`);
  const join = path.includes("?") ? "&" : "?";
  return ask("POST", `${path}${join}name=${encodeURIComponent(file.name)}`, file);
}

/** Shows a fault at the top of the page, or hides it if there is none. */
export function complain(text) {
  const line = document.getElementById("fault");
  line.textContent = text || "";
  line.hidden = !text;
  if (text) line.scrollIntoView({ block: "nearest" });
}

/** Runs a handler; what goes wrong is shown. */
export async function attempt(action) {
  complain("");
  try {
    return await action();
  } catch (error) {
    complain(error.message);
    return undefined;
  }
}

/** An element with properties and children. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Makes an element, and the file input in it, take dropped and chosen files. */
export function takeFiles(target, input, take) {
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = "";
    take(files);
  });
  target.addEventListener("dragover", (event) => {
    event.preventDefault();
    target.classList.add("over");
  });
  target.addEventListener("dragleave", (event) => {
    if (!target.contains(event.relatedTarget)) target.classList.remove("over");
  });
  target.addEventListener("drop", (event) => {
    event.preventDefault();
    target.classList.remove("over");
    take([...event.dataTransfer.files]);
  });
}
