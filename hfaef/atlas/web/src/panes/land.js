// The land below the map's points, on a canvas of its own below MapLibre's: a coarse outline that
// comes with the script and so is there at the first frame, and a finer one with borders and names
// of countries, `land.json`, loaded when the points are drawn. Both are written by the build. MapLibre draws no
// source of its own: see no_worker.js.

import coarse from "coarse-land";

import { mercator } from "./plane.js";

const APRON = 0.25; // of the pane's sides, drawn beyond each edge for what comes into sight
const SHARP = [0.75, 1.4]; // how far a drawing is scaled while the map moves
const FONT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";
const LINE = 18; // pixels from name to name, at the least
const VAST = 8; // a country of so many panes' widths has no name

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
    pane.map.on("moveend", () => this.draw());
  }

  /** Replaces the coarse land. The page does without it where it cannot be loaded. */
  async refine() {
    const response = await fetch("land.json");
    if (!response.ok) return;
    this.#hold(await response.json());
    this.pane.map.triggerRepaint();
  }

  /** While the map moves the drawing is moved with it, as long as it fills the pane. */
  draw() {
    const { frame, map } = this.pane;
    const style = getComputedStyle(this.canvas);
    const [fill, line, ink] = [style.color, style.outlineColor, style.getPropertyValue("--muted")];
    const look = [fill, line, ink, window.devicePixelRatio, this.shapes.length].join();
    const { drawn } = this;
    const same = drawn && drawn.look === look && drawn.width === frame.width && drawn.height === frame.height;
    if (!(same && (map.isMoving() ? this.#fills(frame) : drawn.pixels === frame.pixels && String(drawn.centre) === String(frame.centre)))) {
      this.drawn = { ...frame, look };
      this.#redraw(fill, line);
      this.#name(ink);
    }
    const { scale, x, y } = this.#shift(frame);
    this.canvas.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
  }

  /** Where the drawing lies in the pane, as the map is now. */
  #shift({ centre, pixels, width, height }) {
    const { drawn } = this;
    const scale = pixels / drawn.pixels;
    const place = (axis, side) => (drawn.centre[axis] - centre[axis]) * pixels + side / 2 - scale * side * (0.5 + APRON);
    return { scale, x: place(0, width), y: place(1, height) };
  }

  #fills(frame) {
    const { scale, x, y } = this.#shift(frame);
    const [width, height] = [frame.width, frame.height].map((side) => side * (1 + 2 * APRON) * scale);
    return scale > SHARP[0] && scale < SHARP[1] && x <= 0 && y <= 0 && x + width >= frame.width && y + height >= frame.height;
  }

  #redraw(fill, line) {
    const { canvas, context, drawn } = this;
    const { centre, pixels } = drawn;
    const [width, height] = [drawn.width, drawn.height].map((side) => side * (1 + 2 * APRON));
    const dots = window.devicePixelRatio;
    canvas.width = Math.round(width * dots);
    canvas.height = Math.round(height * dots);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const scale = pixels * dots;
    context.setTransform(scale, 0, 0, scale, canvas.width / 2 - centre[0] * scale, canvas.height / 2 - centre[1] * scale);
    const reach = [width / 2 / pixels, height / 2 / pixels];
    const seen = ({ box }) =>
      box[0] < centre[0] + reach[0] && box[2] > centre[0] - reach[0] && box[1] < centre[1] + reach[1] && box[3] > centre[1] - reach[1];
    context.fillStyle = fill;
    context.strokeStyle = line;
    context.lineJoin = "round";
    context.lineWidth = 0.8 / pixels;
    for (const shape of this.shapes) {
      if (!seen(shape)) continue;
      context.setLineDash(shape.closed ? [] : [3 / pixels, 2 / pixels]);
      if (shape.closed) context.fill(shape.path, "evenodd");
      context.stroke(shape.path);
    }
  }

  /** Names of countries that are wide enough for them, where no larger one's name is. */
  #name(ink) {
    const { canvas, context, drawn } = this;
    const { centre, pixels } = drawn;
    const dots = window.devicePixelRatio;
    context.setTransform(dots, 0, 0, dots, canvas.width / 2, canvas.height / 2);
    Object.assign(context, { font: FONT, fillStyle: ink, textAlign: "center", textBaseline: "middle" });
    const written = [];
    for (const { text, at, wide } of this.names) {
      const [x, y] = [0, 1].map((axis) => (at[axis] - centre[axis]) * pixels);
      if (Math.abs(x) > drawn.width || Math.abs(y) > drawn.height) continue;
      const half = context.measureText(text).width / 2;
      if (2 * half > wide * pixels || wide * pixels > VAST * drawn.width) continue;
      if (written.some((one) => Math.abs(one.x - x) < one.half + half && Math.abs(one.y - y) < LINE)) continue;
      written.push({ x, y, half });
      context.fillText(text, x, y);
    }
  }

  #hold({ land, borders = [], names = [], digits }) {
    const shape = (lines, closed) => {
      const path = new Path2D();
      const box = [Infinity, Infinity, -Infinity, -Infinity];
      for (const line of lines) trace(path, box, line, 10 ** -digits, closed);
      return { path, box, closed };
    };
    this.shapes = [...land.map((rings) => shape(rings, true)), ...borders.map((line) => shape([line], false))];
    this.names = names.map(([text, lon, lat, wide]) => ({ text, at: mercator(lon, lat), wide: wide / 360 }));
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
