// What is drawn above a pane's points: rings around the selected, pinned and hovered rows and the
// neighbours, lines from the selected row to its neighbours, and the box that filters.

const SVG = "http://www.w3.org/2000/svg";

export class Overlay {
  /** @param {import("./pane.js").Pane} pane */
  constructor(pane) {
    this.pane = pane;
    this.svg = make("svg", { class: "overlay", "aria-hidden": "true" });
    pane.container.append(this.svg);
    this.marks = { selected: -1, pinned: -1, hovered: -1, near: [] };
    this.box = null; // in data coordinates
    this.draft = null; // in pixels, while it is drawn
    pane.map.on("move", () => this.draw());
    pane.map.on("resize", () => this.draw());
  }

  set(changes) {
    Object.assign(this.marks, changes);
    this.draw();
  }

  setBox(box) {
    this.box = box;
    this.draw();
  }

  setDraft(draft) {
    this.draft = draft;
    this.draw();
  }

  draw() {
    const { pane, marks } = this;
    const parts = [];
    const box = this.draft ?? (this.box && this.#pixels(this.box));
    if (box) {
      const [x0, y0, x1, y1] = box;
      const [x, y] = [Math.min(x0, x1), Math.min(y0, y1)];
      const [width, height] = [Math.abs(x1 - x0), Math.abs(y1 - y0)];
      parts.push(make("rect", { class: "box", x, y, width, height, rx: 2 }));
    }
    const radius = pane.layer.radius;
    const ring = (row, kind, extra) => {
      const { x, y } = pane.project(row);
      if (!Number.isFinite(x)) return;
      parts.push(make("circle", { class: `halo ${kind}`, cx: x, cy: y, r: radius + extra }));
      parts.push(make("circle", { class: `ring ${kind}`, cx: x, cy: y, r: radius + extra }));
    };
    if (marks.selected >= 0) {
      const from = pane.project(marks.selected);
      for (const row of marks.near) {
        const to = pane.project(row);
        if (![from.x, to.x].every(Number.isFinite)) continue;
        parts.push(make("line", { class: "tie", x1: from.x, y1: from.y, x2: to.x, y2: to.y }));
      }
    }
    for (const row of marks.near) ring(row, "near", 1.5);
    if (marks.pinned >= 0) ring(marks.pinned, "pinned", 4);
    if (marks.hovered >= 0) ring(marks.hovered, "hovered", 3);
    if (marks.selected >= 0) ring(marks.selected, "selected", 4);
    this.svg.replaceChildren(...parts);
  }

  #pixels([x0, y0, x1, y1]) {
    const { plane } = this.pane;
    const a = this.pane.fromWorld(...plane.toWorld(x0, y1));
    const b = this.pane.fromWorld(...plane.toWorld(x1, y0));
    return [a.x, a.y, b.x, b.y];
  }
}

function make(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
