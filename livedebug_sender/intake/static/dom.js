// Building the document. Everything that arrived goes in as text, never as markup.

export const at = (id) => document.getElementById(id);

/** An element, such as h("p.quiet"), with attributes (functions are listeners) and children. */
export function h(spec, attributes, ...children) {
  const [name, ...classes] = spec.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  if (attributes?.constructor !== Object) children.unshift(attributes);
  else {
    for (const [key, value] of Object.entries(attributes)) {
      if (typeof value === "function") element.addEventListener(key, value);
      else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
    }
  }
  element.append(...children.flat(3).filter((child) => child || child === 0));
  return element;
}

export const button = (text, click, attributes = {}) => h("button", { type: "button", click, ...attributes }, text);

/** The text with each place where `wanted` stands marked. */
export function marked(text, wanted) {
  if (!wanted) return [text];
  const parts = [];
  const [low, sought] = [text.toLowerCase(), wanted.toLowerCase()];
  // Where folding changes lengths ("İ"), places would be wrong: better no mark.
  if (low.length !== text.length) return [text];
  let from = 0;
  for (let found = low.indexOf(sought); found >= 0 && parts.length < 200; found = low.indexOf(sought, from)) {
    parts.push(text.slice(from, found), h("mark", text.slice(found, found + sought.length)));
    from = found + sought.length;
  }
  return [...parts, text.slice(from)];
}

/** A list of names and what they are; those without are left out. */
export function facts(pairs) {
  return h("dl.facts", pairs.filter(([, value]) => value).map(([name, value]) => h("div", h("dt", name), h("dd", value))));
}

const stamp = new Intl.DateTimeFormat("sv", { dateStyle: "short", timeStyle: "medium" }); // 2026-11-23 11:01:17

/** The time of day with milliseconds, of milliseconds since 1970. */
export function clock(milliseconds) {
  const date = new Date(milliseconds);
  if (Number.isNaN(+date)) return String(milliseconds);
  return `${stamp.format(date).split(" ")[1]}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** A moment: its time of day, with the date to be hovered for, and before it on another day. */
export function moment(milliseconds) {
  const date = new Date(milliseconds);
  if (Number.isNaN(+date)) return h("span", String(milliseconds));
  const isToday = date.toDateString() === new Date().toDateString();
  const iso = date.toISOString();
  return h("time", { datetime: iso, title: iso }, !isToday && `${stamp.format(date).split(" ")[0]} `, clock(milliseconds));
}

export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KiB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

export const count = (number) => number.toLocaleString("en");

export const plural = (number, one) => `${count(number)} ${one}${number === 1 ? "" : "s"}`;

export const natural = new Intl.Collator("en", { numeric: true, sensitivity: "base" }).compare;

export function toast(words) {
  at("toast").textContent = words;
  at("toast").classList.add("seen");
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => at("toast").classList.remove("seen"), 2500);
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // not over plain HTTP under another name than localhost
    const area = h("textarea.hidden", { "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  toast(`${what} copied`);
}

export const copyFrom = async (path, what) => copy(await ask(path, { as: "text" }), what);

/** What a route of the intake answers; throws an Error with its words. */
export async function ask(path, { as = "json", ...options } = {}) {
  const answer = await fetch(`/intake/${path}`, options);
  if (!answer.ok) throw new Error((await answer.json().catch(() => null))?.errors?.join("; ") || `answered ${answer.status}`);
  return answer.status === 204 ? null : answer[as]();
}
