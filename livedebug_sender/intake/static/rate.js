// The chart of the rate: a stacked column for each few seconds, with an axis.

import { clock, count, h, plural } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const KINDS = ["snapshots", "logs", "diagnostics", "symdb", "refused"];
const [HEIGHT, LEFT] = [34, 36]; // pixels, of the columns and before them

export class Chart {
  /** `pick(since, until)` is called when a column is clicked, with seconds since 1970. */
  constructor(box, pick) {
    this.pick = pick;
    this.svg = shape("svg", { role: "img" });
    this.tip = h("div.tip", { hidden: true });
    box.replaceChildren(this.svg, this.tip);
    this.svg.addEventListener("pointermove", (event) => this.hover(this.column(event), event));
    this.svg.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    this.svg.addEventListener("click", (event) => this.click(this.column(event)));
    new ResizeObserver(() => this.render()).observe(box);
  }

  /** What came until now, by the intake's clock. */
  draw({ rate, columnSeconds, now }) {
    Object.assign(this, { given: rate, columnSeconds, now, drawn: performance.now() });
    this.render();
  }

  /** As it is by now, though nothing came. */
  render() {
    const width = this.svg.clientWidth;
    if (!this.given || !width) return;
    const place = (seconds) => Math.floor(seconds / this.columnSeconds) + 1;
    const end = place(this.now + (performance.now() - this.drawn) / 1000);
    const gone = Math.min(this.given.length, end - place(this.now));
    this.end = end * this.columnSeconds;
    this.rate = [...this.given.slice(gone), ...new Array(gone).fill({})];
    this.step = (width - LEFT) / this.rate.length;
    const peak = Math.max(...this.rate.map(sum));
    const top = nice(peak);
    const span = (this.rate.length * this.columnSeconds) / 60;
    this.svg.setAttribute("aria-label", `Payloads every ${this.columnSeconds} s in the last ${span} min; at most ${plural(peak, "payload")}`);
    const bars = this.rate.flatMap((column, n) => bar(column, LEFT + n * this.step, this.step - 1.5, top));
    const ticks = [0, 0.5, 1].map((share) => label(
      share === 1 ? "now" : `−${+(span * (1 - share)).toFixed(1)} min`,
      LEFT + (width - LEFT) * share, HEIGHT + 13, ["start", "middle", "end"][share * 2]));
    const line = (y) => shape("line", { x1: LEFT, x2: width, y1: y + 0.5, y2: y + 0.5 });
    this.svg.replaceChildren(line(0), line(HEIGHT), ...bars, ...ticks, label(count(top), LEFT - 5, 9, "end"), label("0", LEFT - 5, HEIGHT, "end"));
  }

  column(event) {
    const x = event.clientX - this.svg.getBoundingClientRect().left - LEFT;
    return Math.max(0, Math.min(this.rate.length - 1, Math.floor(x / this.step)));
  }

  since(n) { return this.end - (this.rate.length - n) * this.columnSeconds; }

  hover(n, event) {
    const parts = KINDS.filter((kind) => this.rate[n][kind]).map((kind) => `${count(this.rate[n][kind])} ${kind}`);
    this.tip.textContent = `${clock(this.since(n) * 1000).slice(0, 8)}  ${parts.join(", ") || "nothing"}`;
    this.tip.hidden = false;
    const box = this.svg.getBoundingClientRect();
    this.tip.style.left = `${Math.min(event.clientX - box.left, box.width - this.tip.offsetWidth)}px`;
  }

  click(n) {
    if (sum(this.rate[n])) this.pick(this.since(n), this.since(n) + this.columnSeconds);
  }
}

const sum = (column) => Object.values(column).reduce((a, b) => a + b, 0);

/** The next of 5, 10, 20, 50, 100, ... */
function nice(peak) {
  let top = 5;
  for (let n = 0; top < peak; n += 1) top *= [2, 2, 2.5][n % 3];
  return top;
}

function bar(column, x, width, top) {
  let y = HEIGHT;
  return KINDS.filter((kind) => column[kind]).map((kind) => {
    const height = Math.max(1, (column[kind] / top) * HEIGHT);
    y -= height;
    return shape("rect", { class: `b-${kind}`, x, y, width, height });
  });
}

function label(text, x, y, anchor) {
  const element = shape("text", { x, y, "text-anchor": anchor });
  element.textContent = text;
  return element;
}

function shape(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
