// The page: filters, views, keys, and what comes in live.

import { filters, go, isFiltered, noFilters, onChange, shown } from "./address.js";
import { openOne, showOpen } from "./detail.js";
import { ask, at, button, clock, count, h, natural, plural, size, toast } from "./dom.js";
import { List } from "./list.js";
import { probeList } from "./probes.js";
import { Chart } from "./rate.js";
import { payloadRow, requestRow } from "./rows.js";

const ROW = 54; // pixels; as in the style
const known = { probes: null };
const soon = {};
let source = null;
let paused = false;
let waiting = 0; // arrivals that are not in the list yet

const of = (id, selector) => [...at(id).querySelectorAll(selector)];
const chart = new Chart(at("chart"), (since, until) => go({ since, until, view: "" }, { step: true }));
const list = new List(at("list"), {
  height: ROW,
  fetchRows: async (offset, limit, upto) => {
    const what = shown.view || "payloads";
    const { [what]: rows, ...answer } = await ask(`${what}?${filters({ offset, limit, ...(upto === null ? {} : { upto }) })}`);
    return { ...answer, rows };
  },
  draw: (row) => (row.id ? payloadRow(row) : requestRow(row)),
  key: (row) => row.id ?? `r${row.number}`,
  choose: (row) => openOne(list.key(row)),
  changed: () => words(),
  seen: () => later("findings", 300, askFindings),
});

function words() {
  const isProbes = shown.view === "probes";
  const isEmpty = !isProbes && !list.total;
  const what = (shown.view || "payloads").slice(0, -1);
  const all = !shown.view && isFiltered() && known.held?.payloads;
  if (isProbes) at("shown").textContent = plural(known.probes?.length ?? 0, what);
  else at("shown").textContent = all ? `${count(list.total)} of ${plural(all, what)}` : plural(list.total, what);
  at("new").hidden = !waiting || isProbes;
  at("new").textContent = `${count(waiting)} new`;
  at("list").hidden = isProbes || isEmpty;
  at("probes").hidden = !isProbes;
  at("start").hidden = !isEmpty || Boolean(known.totals?.requests);
  at("nothing").hidden = !isEmpty || !known.totals?.requests;
}

async function reload() {
  waiting = 0;
  await list.reload().catch((error) => toast(error.message));
  words();
  at("said").textContent = at("shown").textContent; // once, not at each arrival
}

function connect() {
  source?.close();
  if (paused) return;
  source = new EventSource(`/intake/events?${filters({ after: list.upto, epoch: known.epoch ?? "" })}`);
  source.onmessage = (event) => take(JSON.parse(event.data));
  source.onopen = () => say("live");
  source.onerror = () => say("gone", "the intake does not answer");
}

const restart = () => reload().then(connect);

function say(kind, text = kind) {
  if (at("state").textContent !== text) at("state").textContent = text;
  at("state").className = `state ${kind}`;
}

/** An event of the stream. */
function take(news) {
  const isNew = known.epoch && known.epoch !== news.epoch;
  const came = known.totals ? news.totals.requests - known.totals.requests : 0;
  Object.assign(known, news);
  if (isNew) {
    reload();
    openOne("");
  } else if (news.upto > list.upto) arrive(news, came);
  chart.draw(news);
  drawTracks();
  options("service", news.services);
  if (came || isNew || !known.probes) later("probes", 500, askProbes);
  words();
}

/** What is odd about the payloads in sight. */
async function askFindings() {
  const rows = [...list.drawn.keys()].map((n) => list.rows[n]).filter((row) => row?.id && !row.findings);
  const found = rows.length ? await ask(`findings?ids=${rows.map((row) => row.id)}`).catch(() => ({})) : {};
  for (const row of rows) row.findings = found[row.id] ?? [];
  if (!Object.values(found).some((some) => some.length)) return;
  list.clear();
  list.render();
}

/** What came goes to the top of the list, unless somebody is reading there. */
function arrive({ rows, fresh, matching, upto }, came) {
  const isReading = shown.open || !list.atTop || at("list").matches(":hover") || list.cursor >= 0;
  const added = shown.view === "requests" ? came : fresh;
  if (!added) list.upto = Math.max(list.upto, isReading ? list.upto : upto);
  else if (isReading) waiting += added;
  else if (shown.view === "requests" || waiting) later("list", 250, reload);
  else list.prepend(rows, fresh, matching, upto);
}

function later(name, pause, act) {
  soon[name] ??= setTimeout(() => {
    soon[name] = undefined;
    act();
  }, pause);
}

async function askProbes() {
  known.probes = (await ask("probes").catch(() => known)).probes ?? [];
  options("probe", known.probes.map((one) => one.probe));
  for (const box of [shown.view === "probes" && at("probes"), shown.view !== "probes" && document.querySelector("#detail .beside")]) if (box) redraw(box, probeList(known.probes));
  words();
}

/** Something new, and the focus where it was. */
function redraw(box, made) {
  const held = [...box.querySelectorAll("button, summary")].indexOf(document.activeElement);
  box.replaceChildren(...made);
  if (held >= 0) box.querySelectorAll("button, summary")[held]?.focus();
}

function drawTracks() {
  const { tracks = {}, refused = 0 } = known.totals ?? {};
  const all = Object.values(tracks).reduce((a, b) => a + b, 0);
  for (const chip of of("tracks", "button")) {
    const { track, outcome } = chip.dataset;
    const sum = outcome ? refused : track ? tracks[track] ?? 0 : all;
    chip.querySelector(".sum").textContent = count(sum);
    chip.ariaPressed = outcome ? shown.outcome === outcome : shown.track === track;
    chip.hidden = Boolean(outcome) && !sum && !shown.outcome;
  }
}

function options(name, values) {
  const wanted = [...new Set([...values, shown[name]])].filter(Boolean).sort(natural);
  const text = JSON.stringify([wanted, shown[name]]);
  if (at(name).dataset.drawn === text) return;
  at(name).dataset.drawn = text;
  at(name).replaceChildren(h("option", { value: "" }, `all ${name}s`), ...wanted.map((value) => h("option", { value }, value)));
  at(name).value = shown[name];
}

function idle() {
  const made = at("idle").content.cloneNode(true);
  if (shown.view === "probes") made.querySelector("h2").remove();
  else made.querySelector(".beside").append(...probeList(known.probes));
  const others = Object.entries(known.totals?.other ?? {}).map(([name, n]) => `${name} (${count(n)})`);
  if (others.length) made.firstElementChild.append(h("p.quiet", `Also received, and discarded: ${others.join(", ")}`));
  return [made];
}

function drawFilters() {
  for (const tab of of("views", "button")) tab.ariaSelected = shown.view === tab.dataset.view;
  const range = shown.since && [shown.since, shown.until].map((time) => clock(time * 1000).slice(0, 8)).join(" – ");
  const more = [range, shown.kind, shown.status].filter(Boolean).join(", ");
  at("more").hidden = !more;
  at("more").textContent = `${more}  ✕`;
  at("reset").hidden = !isFiltered();
  at("export").href = `/intake/export?${filters()}`;
  if (at("text").value !== shown.text) at("text").value = shown.text;
  for (const name of ["service", "probe"]) options(name, of(name, "option").map((one) => one.value));
  drawTracks();
}

onChange((before) => {
  const changed = (...names) => names.some((name) => before[name] !== shown[name]);
  drawFilters();
  if (changed("view", ...Object.keys(noFilters))) {
    list.cursor = -1;
    if (shown.view === "probes") redraw(at("probes"), probeList(known.probes));
    else restart();
  }
  if (changed("open", "compare", "tab", "text") || (!shown.open && changed("view"))) open();
  words();
});

function open() {
  list.open(shown.open);
  return showOpen(idle);
}

function step(by) {
  if (shown.view === "probes") return;
  list.move(list.cursor + by);
  if (shown.open) later("open", 60, () => list.current && go({ open: list.key(list.current), compare: "" }));
}

const KEYS = {
  j: () => step(1), ArrowDown: () => step(1), k: () => step(-1), ArrowUp: () => step(-1),
  Enter: () => list.current && openOne(list.key(list.current)),
  Escape: () => openOne(""),
  "/": () => at("text").select(),
  "?": help,
};

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (target.matches("input, select")) return key === "Escape" && target.blur();
  if (["Enter", "ArrowDown", "ArrowUp"].includes(key) && !target.matches("body, #list")) return;
  if (!KEYS[key]) return;
  event.preventDefault();
  KEYS[key]();
});

function help() {
  const { held, totals } = known;
  at("numbers").textContent = totals ? `In memory: ${plural(held.payloads, "payload")}, ${size(held.bytes)}. No longer kept: ${plural(totals.forgotten, "request")}.` : "";
  at("help").showModal();
}

async function setFaults(options) {
  try {
    const { faults } = await ask("faults", options);
    at("faults-said").textContent = faults ? `Active: ${faults}` : "No faults.";
    at("faults-open").classList.toggle("on", Boolean(faults));
    return faults;
  } catch (error) {
    at("faults-said").textContent = error.message;
    return at("faults-text").value;
  }
}

const click = (id, act) => at(id).addEventListener("click", act);
const putFaults = (faults) => setFaults({ method: "PUT", body: JSON.stringify({ faults }) });

at("filters").addEventListener("submit", (event) => event.preventDefault());
at("text").addEventListener("input", () => {
  clearTimeout(soon.typing);
  soon.typing = setTimeout(() => go({ text: at("text").value }), 150);
});
for (const name of ["service", "probe"]) at(name).addEventListener("change", () => go({ [name]: at(name).value }));
for (const chip of of("tracks", "button")) {
  const { track, outcome } = chip.dataset;
  chip.addEventListener("click", () => go(outcome ? { outcome: shown.outcome ? "" : outcome } : { track }));
}
for (const tab of of("views", "button")) tab.addEventListener("click", () => go({ view: tab.dataset.view }, { step: true }));
click("more", () => go({ since: "", until: "", kind: "", status: "" }));
click("reset", () => go(noFilters));
click("nothing-reset", () => go(noFilters));
click("new", restart);
click("help-open", help);
click("clear", () => ask("requests", { method: "DELETE" }));
click("pause", () => {
  paused = !paused;
  at("pause").ariaPressed = paused;
  at("pause").textContent = paused ? "Resume" : "Pause";
  if (!paused) return restart();
  source.close();
  return say("paused");
});
click("faults-open", async () => {
  at("faults").showModal();
  at("faults-text").value = await setFaults();
});
for (const example of of("faults", ".examples button")) example.addEventListener("click", () => { at("faults-text").value = example.textContent; });
at("faults-form").addEventListener("submit", (event) => {
  event.preventDefault();
  putFaults(at("faults-text").value);
});
click("faults-good", async () => { at("faults-text").value = await putFaults(""); });
for (const close of document.querySelectorAll("dialog .close")) close.addEventListener("click", () => close.closest("dialog").close());
for (const here of document.querySelectorAll(".here")) here.textContent = location.origin;

const { dataset } = document.documentElement;
if (localStorage.getItem("theme")) dataset.theme = localStorage.getItem("theme");
click("theme", () => {
  const isDark = dataset.theme ? dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  dataset.theme = isDark ? "light" : "dark";
  localStorage.setItem("theme", dataset.theme);
});

setInterval(() => at("state").className === "state live" && chart.render(), 2000);
drawFilters();
open();
restart().then(() => setFaults());
