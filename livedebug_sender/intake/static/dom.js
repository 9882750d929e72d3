// Building the document. Everything that arrived goes in as text, never as markup.

/** An element with attributes and children; strings become text nodes. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(key, String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A <details> whose inside is made when it is first opened. */
export function fold(className, summary, fill, open = false) {
  const details = make("details", { class: className }, make("summary", {}, ...summary));
  let filled = false;
  const fillOnce = () => {
    if (filled || !details.open) return;
    filled = true;
    details.append(...[fill()].flat());
  };
  details.addEventListener("toggle", fillOnce);
  details.open = open;
  fillOnce();
  return details;
}

export function badge(text, kind = text) {
  // A class name can't hold white space; a status is whatever a tracer sent.
  return make("span", { class: `badge k-${kind.replace(/\s+/g, "_")}` }, text);
}

/** A list of names and what they are; those without are left out. */
export function facts(...pairs) {
  const given = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return make("dl", { class: "facts" },
    ...given.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, text(value))]));
}

export function text(value) {
  if (value instanceof Node) return value;
  return typeof value === "string" ? value : JSON.stringify(value);
}

export function clock(milliseconds) {
  const date = new Date(milliseconds);
  if (Number.isNaN(date.getTime())) return String(milliseconds);
  const two = (number) => String(number).padStart(2, "0");
  const parts = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return `${parts}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KiB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}
