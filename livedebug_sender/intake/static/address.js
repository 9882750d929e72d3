// What the page shows is in its address: filters, view, what is open.

const FILTERS = ["track", "service", "probe", "kind", "status", "outcome", "text", "since", "until"];
const NAMES = ["view", "open", "compare", "tab", ...FILTERS];

/** The address's parts; those that are not there are "". */
export const shown = {};
const listeners = [];

export function onChange(listener) { listeners.push(listener); }

/** Change some parts; `step` makes it one to go back from. */
export function go(changes, { step = false } = {}) {
  const before = { ...shown };
  Object.assign(shown, changes);
  if (NAMES.every((name) => shown[name] === before[name])) return;
  const query = asQuery(NAMES);
  history[step ? "pushState" : "replaceState"](null, "", query ? `?${query}` : location.pathname);
  for (const listener of listeners) listener(before);
}

/** The filters, as the intake's routes take them. */
export function filters(more = {}) {
  return asQuery(FILTERS, more);
}

export function isFiltered() { return FILTERS.some((name) => shown[name]); }

export const noFilters = Object.fromEntries(FILTERS.map((name) => [name, ""]));

function asQuery(names, more = {}) {
  const query = new URLSearchParams();
  for (const name of names) if (shown[name]) query.set(name, shown[name]);
  for (const [name, value] of Object.entries(more)) query.set(name, value);
  return query.toString();
}

function read() {
  const query = new URLSearchParams(location.search);
  const before = { ...shown };
  for (const name of NAMES) shown[name] = query.get(name) ?? "";
  return before;
}

addEventListener("popstate", () => {
  const before = read();
  for (const listener of listeners) listener(before);
});
read();
