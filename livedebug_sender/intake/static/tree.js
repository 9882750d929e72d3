// A tree as a flat list of rows: unfolding puts the children's rows behind their parent's.

import { button, copy, copyFrom, h, marked, plural } from "./dom.js";

const [AT_FIRST, MOST_ROWS] = [1000, 10000]; // unfolded at once
const MOST_FOUND = 500;
const LONG = 2000; // characters of a value that are shown; copying gives all

/** A tree with its tools. `id`, `pointer`: of the payload, and where in it the nodes begin. */
export class Tree {
  constructor({ title, nodes, pointer }, { id, query = "", open = (node) => node.kind === "section" || (nodes.length === 1 && node === nodes[0]) }) {
    Object.assign(this, { id, found: [], root: { kids: nodes, key: pointer, step: "" } });
    const point = (event) => this.point(rowOf(event));
    this.list = h("div.tree", { role: "tree", "aria-label": title, keydown: (event) => this.key(event), pointerover: point, focusin: point,
      click: (event) => String(getSelection()) || this.toggle(rowOf(event)) });
    this.tools = h("div.tools", { hidden: true }, ["path", "value", "JSON"].map((what) => button(what, () => this.copy(what), { tabindex: -1 })));
    this.words = h("span.quiet", { role: "status" });
    this.input = h("input", { type: "search", "aria-label": `Find in ${title}`, placeholder: "Find here", autocomplete: "off", spellcheck: "false",
      input: () => this.find(this.input.value), keydown: (event) => event.key === "Enter" && this.next(event.shiftKey ? -1 : 1) });
    this.element = h("div.tree-box", { pointerleave: () => { this.tools.hidden = true; } },
      h("div.tree-bar", this.input, this.words, button("Expand all", () => this.expand(() => true, MOST_ROWS)), button("Collapse all", () => this.collapse())),
      h("div.tree-body", this.list, this.tools));
    this.list.append(...this.rows(this.root, 1));
    this.expand(open, AT_FIRST);
    if (this.list.firstChild) this.list.firstChild.tabIndex = 0;
    if (!query) return;
    this.input.value = query;
    requestAnimationFrame(() => this.find(query)); // once it is in the document: it scrolls there
  }

  rows(node, level) {
    return node.kids.map((kid) => {
      const row = h(`div.node.${kid.change ?? "same"}.${kid.kind ?? "value"}`, { role: "treeitem", "aria-level": level, tabindex: -1, "aria-expanded": kid.kids ? "false" : null });
      row.style.setProperty("--level", level - 1);
      Object.assign(kid, { row, parent: node });
      row.node = kid;
      this.fill(row);
      return row;
    });
  }

  fill(row) {
    const { name, type, value, note, was, change, kids } = row.node;
    const text = value?.length > LONG ? `${value.slice(0, LONG)}… (${plural(value.length, "character")})` : value;
    const part = (kind, shown) => shown && [h(`span.${kind}`, marked(shown, this.query)), " "];
    row.replaceChildren(h("span.caret", { "aria-hidden": "true" }), h("span.what", part("name", name), part("was", was), was && h("span.hidden", "became "),
      part("value", text), part("type", type), part("note", note), change && !kids && h("span.hidden", change)));
  }

  isOpen(row) { return row.ariaExpanded === "true"; }

  /** Returns how many rows came. */
  unfold(row) {
    if (!row.node.kids || this.isOpen(row)) return 0;
    row.ariaExpanded = true;
    row.after(...this.rows(row.node, level(row) + 1));
    return row.node.kids.length;
  }

  fold(row) {
    if (!this.isOpen(row)) return;
    row.ariaExpanded = false;
    while (row.nextSibling && level(row.nextSibling) > level(row)) row.nextSibling.remove();
  }

  toggle(row) {
    if (!row) return;
    this.focus(row);
    if (this.isOpen(row)) this.fold(row);
    else this.unfold(row);
  }

  expand(which, most) {
    let rows = this.list.childElementCount; // asked for once: it counts them all
    for (let row = this.list.firstChild; row; row = row.nextSibling) {
      if (which(row.node)) rows += this.unfold(row);
      if (rows < most) continue;
      this.words.textContent = `expanded up to ${plural(rows, "row")}`;
      return;
    }
  }

  collapse() {
    for (const row of [...this.list.children]) if (row.isConnected) this.fold(row);
  }

  /** Unfold to all nodes with the text in them, and mark it. */
  find(text) {
    this.query = text;
    this.found = [];
    const sought = text.toLowerCase();
    const visit = (node) => {
      for (const kid of node.kids ?? []) {
        if (this.found.length >= MOST_FOUND) return;
        kid.parent = node;
        if ([kid.name, kid.type, kid.value, kid.note, kid.was].some((part) => part?.toLowerCase().includes(sought))) this.found.push(kid);
        visit(kid);
      }
    };
    if (text) visit(this.root);
    if (this.list.childElementCount > MOST_ROWS / 2) this.collapse();
    let rows = 0;
    const last = this.found.findIndex((node, n) => {
      for (const up of way(node).slice(0, -1)) rows += this.unfold(up.row);
      return n + 1 === MOST_FOUND || rows > MOST_ROWS / 2;
    });
    if (last >= 0) this.found.length = last + 1;
    for (const row of [...this.list.children]) this.fill(row);
    this.words.textContent = text && `${this.found.length}${last < 0 ? "" : " or more"} found`;
    this.place = -1;
    this.next(1);
  }

  next(by) {
    if (!this.found.length) return;
    this.place = (this.place + by + this.found.length) % this.found.length;
    this.found[this.place].row.scrollIntoView({ block: "nearest" });
    this.point(this.found[this.place].row);
  }

  focus(row) {
    if (!row) return;
    this.list.querySelector("[tabindex='0']")?.setAttribute("tabindex", -1);
    row.tabIndex = 0;
    row.focus();
  }

  key(event) {
    const row = rowOf(event);
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      ArrowDown: () => this.focus(row.nextSibling),
      ArrowUp: () => this.focus(row.previousSibling),
      ArrowRight: () => (row.node.kids && !this.isOpen(row) ? this.unfold(row) : this.focus(row.nextSibling)),
      ArrowLeft: () => (this.isOpen(row) ? this.fold(row) : this.focus(row.node.parent.row)),
      Enter: () => this.toggle(row),
      c: () => this.copy("value"), p: () => this.copy("path"), J: () => this.copy("JSON"),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  point(row) {
    if (!row) return;
    this.at = row.node;
    this.tools.hidden = false;
    this.tools.style.top = `${row.offsetTop}px`;
  }

  async copy(what) {
    const steps = way(this.at);
    if (what === "path") return copy(steps.map((node) => node.step).join("").replace(/^\./, ""), what);
    if (what === "value" && this.at.value !== undefined) return copy(this.at.value, what);
    const pointer = this.root.key + steps.map((node) => node.key).join("");
    const of = this.at.change === "removed" ? this.id.before : this.id.payload;
    return copyFrom(`payloads/${of}/raw?${new URLSearchParams({ pointer })}`, what);
  }
}

const rowOf = (event) => event.target.closest(".node");
const level = (row) => Number(row.ariaLevel);

/** The nodes from the top down to this one. */
function way(node) {
  const found = [];
  for (let up = node; up.parent; up = up.parent) found.unshift(up);
  return found;
}
