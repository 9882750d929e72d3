// A list of any length, of which only what is in sight is in the document.

import { h } from "./dom.js";

const CHUNK = 100; // rows asked for at once
const SPARE = 6; // rows made beyond either edge

export class List {
  /** `fetchRows(offset, limit, upto)` gives {rows, matching, upto}; `height`: pixels of a row. */
  constructor(box, { height, fetchRows, draw, key, choose, changed, seen }) {
    Object.assign(this, { box, height, fetchRows, draw, key, choose, changed, seen });
    this.space = h("div.space");
    box.replaceChildren(this.space);
    this.rows = [];
    this.total = 0;
    this.upto = 0;
    this.cursor = -1;
    this.openKey = "";
    this.asked = new Set();
    this.turn = 0; // counts reloads, so that late answers are dropped
    this.drawn = new Map();
    box.addEventListener("scroll", () => this.renderSoon(), { passive: true });
    new ResizeObserver(() => this.renderSoon()).observe(box);
  }

  get atTop() { return this.box.scrollTop < 4; }

  /** Forget all, and load what is in sight. */
  async reload() {
    const turn = ++this.turn;
    const answer = await this.fetchRows(0, CHUNK, null);
    if (turn !== this.turn) return;
    const open = this.cursor >= 0 && this.rows[this.cursor] ? this.key(this.rows[this.cursor]) : this.openKey;
    this.asked = new Set([0]);
    this.rows = answer.rows;
    this.total = answer.matching;
    this.upto = answer.upto;
    this.cursor = this.rows.findIndex((row) => this.key(row) === open);
    this.box.scrollTop = 0;
    this.clear();
    this.render();
    this.changed(this);
  }

  /** Put what came at the top. `fresh` may be more than the rows that are given. */
  prepend(rows, fresh, matching, upto) {
    this.turn += 1;
    this.asked.clear();
    this.rows = [...rows, ...new Array(Math.max(0, fresh - rows.length)), ...this.rows].slice(0, matching);
    this.total = matching;
    this.upto = upto;
    if (this.cursor >= 0) this.cursor = Math.min(this.cursor + fresh, matching - 1);
    this.clear();
    this.render();
    this.changed(this);
  }

  clear() {
    for (const element of this.drawn.values()) element.remove();
    this.drawn.clear();
  }

  renderSoon() {
    if (this.soon) return;
    this.soon = requestAnimationFrame(() => {
      this.soon = 0;
      this.render();
    });
  }

  render() {
    this.space.style.height = `${this.total * this.height}px`;
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.height) - SPARE);
    const last = Math.min(this.total, Math.ceil((this.box.scrollTop + this.box.clientHeight) / this.height) + SPARE);
    for (const [n, element] of this.drawn) {
      if (n < first || n >= last) {
        element.remove();
        this.drawn.delete(n);
      }
    }
    for (let n = first; n < last; n += 1) {
      if (!this.rows[n]) this.load(n);
      else if (!this.drawn.has(n)) this.put(n);
    }
    this.seen();
  }

  put(n) {
    const element = this.draw(this.rows[n]);
    Object.assign(element, { id: `row-${n}`, role: "option", ariaPosInSet: n + 1, ariaSetSize: this.total });
    element.style.transform = `translateY(${n * this.height}px)`;
    element.addEventListener("click", () => {
      this.move(n);
      this.choose(this.rows[n]);
    });
    this.drawn.set(n, element);
    this.dress(n);
    const next = [...this.drawn.keys()].filter((other) => other > n).sort((a, b) => a - b)[0];
    this.space.insertBefore(element, next === undefined ? null : this.drawn.get(next));
  }

  dress(n) {
    const element = this.drawn.get(n);
    if (!element) return;
    element.classList.toggle("cursor", n === this.cursor);
    element.ariaSelected = this.key(this.rows[n]) === this.openKey;
    if (n === this.cursor) this.box.setAttribute("aria-activedescendant", element.id);
  }

  async load(n) {
    const chunk = Math.floor(n / CHUNK) * CHUNK;
    if (this.asked.has(chunk)) return;
    this.asked.add(chunk);
    const turn = this.turn;
    const answer = await this.fetchRows(chunk, CHUNK, this.upto).catch(() => null);
    if (turn !== this.turn || !answer) return;
    answer.rows.forEach((row, place) => { this.rows[chunk + place] = row; });
    this.total = answer.matching;
    this.render();
    this.changed(this);
  }

  open(key) {
    this.openKey = key;
    for (const n of this.drawn.keys()) this.dress(n);
  }

  move(n) {
    if (!this.total) return;
    const before = this.cursor;
    this.cursor = Math.max(0, Math.min(n, this.total - 1));
    const top = this.cursor * this.height;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    const bottom = top + this.height - this.box.clientHeight;
    if (bottom > this.box.scrollTop) this.box.scrollTop = bottom;
    this.render();
    this.dress(before);
    this.dress(this.cursor);
  }

  get current() { return this.rows[this.cursor]; }
}
