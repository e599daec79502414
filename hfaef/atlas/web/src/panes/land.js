// The land below the map's points, on a canvas of its own below MapLibre's: a coarse outline that
// comes with the script and so is there at the first frame, and a finer one with borders,
// `land.json`, loaded when the points are drawn. Both are written by the build. MapLibre draws no
// source of its own: see no_worker.js.

import coarse from "coarse-land";

import { mercator } from "./plane.js";

const MARGIN = 2; // pixels around the canvas in which shapes still count as in sight

export class Land {
  /** @param {import("./pane.js").Pane} pane whose container's style gives the colours */
  constructor(pane) {
    this.pane = pane;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "land";
    pane.container.prepend(this.canvas);
    this.context = this.canvas.getContext("2d");
    this.#hold(coarse);
    pane.map.on("render", () => this.draw());
  }

  /** Replaces the coarse land. The page does without it where it cannot be loaded. */
  async refine() {
    const response = await fetch("land.json");
    if (!response.ok) return;
    this.#hold(await response.json());
    this.pane.map.triggerRepaint();
  }

  draw() {
    const { canvas, context, pane } = this;
    const style = getComputedStyle(canvas);
    const { centre, pixels, width, height } = pane.frame;
    const dots = window.devicePixelRatio;
    const key = [centre, pixels, width, height, dots, style.color, this.shapes.length].join();
    if (key === this.drawn) return;
    this.drawn = key;
    canvas.width = Math.round(width * dots);
    canvas.height = Math.round(height * dots);
    const scale = pixels * dots;
    context.setTransform(scale, 0, 0, scale, canvas.width / 2 - centre[0] * scale, canvas.height / 2 - centre[1] * scale);
    const reach = [(width / 2 + MARGIN) / pixels, (height / 2 + MARGIN) / pixels];
    const seen = ({ box }) =>
      box[0] < centre[0] + reach[0] && box[2] > centre[0] - reach[0] && box[1] < centre[1] + reach[1] && box[3] > centre[1] - reach[1];
    context.fillStyle = style.color;
    context.strokeStyle = style.outlineColor;
    context.lineJoin = "round";
    context.lineWidth = 0.8 / pixels;
    for (const shape of this.shapes) {
      if (!seen(shape)) continue;
      context.setLineDash(shape.closed ? [] : [3 / pixels, 2 / pixels]);
      if (shape.closed) context.fill(shape.path, "evenodd");
      context.stroke(shape.path);
    }
  }

  #hold({ land, borders = [], digits }) {
    const shape = (lines, closed) => {
      const path = new Path2D();
      const box = [Infinity, Infinity, -Infinity, -Infinity];
      for (const line of lines) trace(path, box, line, 10 ** -digits, closed);
      return { path, box, closed };
    };
    this.shapes = [...land.map((rings) => shape(rings, true)), ...borders.map((line) => shape([line], false))];
  }
}

/** Lines are whole numbers, each the difference to the one before, in units of degrees. */
function trace(path, box, line, unit, closed) {
  for (let i = 0, lon = 0, lat = 0; i < line.length; i += 2) {
    lon += line[i];
    lat += line[i + 1];
    const [x, y] = mercator(lon * unit, lat * unit);
    if (i) path.lineTo(x, y);
    else path.moveTo(x, y);
    box[0] = Math.min(box[0], x);
    box[1] = Math.min(box[1], y);
    box[2] = Math.max(box[2], x);
    box[3] = Math.max(box[3], y);
  }
  if (closed) path.closePath();
}
