// The two panes side by side, linked: what is pointed at, selected or boxed in one shows in both.

import { yearText } from "../model/words.js";
import { framePane } from "../ui/pane_frame.js";
import { watchBox } from "./box.js";
import { Land } from "./land.js";
import { Overlay } from "./overlay.js";
import { Pane } from "./pane.js";
import { earthPlane, layoutPlane, positionsOn } from "./plane.js";
import { addScaleBar } from "./scale_bar.js";

const TITLES = { pca: "Embedding space · PCA", tsne: "Embedding space · t-SNE" };
const RIMS = { light: [1, 1, 1], dark: [0.06, 0.08, 0.1] };
const still = window.matchMedia("(prefers-reduced-motion: reduce)");

export class Panes {
  /**
   * @param {object} places the elements `map` and `space`
   * @param {import("../atlas.js").Atlas} atlas is told of clicks, moves and boxes
   */
  constructor(places, atlas) {
    const { points } = atlas;
    this.atlas = atlas;
    const options = { n: points.n, still: () => still.matches };
    this.map = new Pane(places.map, { ...options, maxZoom: 18 });
    this.space = new Pane(places.space, { ...options, maxZoom: 20 });
    this.land = new Land(this.map);
    this.map.setPlane(earthPlane, positionsOn(earthPlane, points.lon, points.lat));
    const plane = layoutPlane(points.x, points.y);
    this.space.setPlane(plane, positionsOn(plane, points.x, points.y));
    this.overlays = {};
    this.frames = {};
    this.boxes = {};
    for (const [name, title] of [["map", "Map"], ["space", TITLES.pca]]) {
      const pane = this[name];
      this.overlays[name] = new Overlay(pane);
      const sight = () => atlas.setBox(name, pane.sight);
      this.frames[name] = framePane(places[name], { title, pane, sight });
      this.boxes[name] = watchBox(pane, this.overlays[name], {
        armed: this.frames[name].armed,
        done: (box) => {
          this.frames[name].disarm();
          atlas.setBox(name, box);
        },
      });
      this.#watch(name);
    }
    addScaleBar(this.map);
    this.ready = Promise.all([this.map.ready, this.space.ready]);
  }

  setLayout({ x, y }, name) {
    const plane = layoutPlane(x, y);
    this.space.setPlane(plane, positionsOn(plane, x, y));
    this.frames.space.setTitle(TITLES[name] ?? `Embedding space · ${name}`);
    this.space.fit(false);
  }

  /** Resolves when both panes have drawn their points. */
  drawn() {
    const once = ({ map }) => new Promise((resolve) => map.once("render", resolve) && map.triggerRepaint());
    return Promise.all([once(this.map), once(this.space)]);
  }

  /** Colours and filters of all rows; see `Atlas` for what is taken of it. */
  paint(atlas, theme) {
    const { swatchOf, fails } = atlas;
    for (const pane of [this.map, this.space]) {
      pane.layer.rim = RIMS[theme];
      pane.layer.setStyles(swatchOf);
      pane.layer.setOrder(fails, (row) => swatchOf(row).grey);
    }
  }

  mark(marks) {
    for (const overlay of Object.values(this.overlays)) overlay.set(marks);
  }

  setBoxes(boxes) {
    for (const [name, overlay] of Object.entries(this.overlays)) overlay.setBox(boxes[name]);
  }

  within(name, box) {
    return this[name].within(box);
  }

  reveal(row) {
    this.map.reveal(row);
    this.space.reveal(row);
  }

  flyTo(row, zoom) {
    this.map.flyTo(row, Math.max(zoom, this.map.map.getZoom()));
    this.space.flyTo(row, Math.max(this.space.fitZoom + 2, this.space.map.getZoom()));
  }

  /** Looks where a link says; null: at all rows. */
  restore(views) {
    for (const name of ["map", "space"]) {
      if (views[name]) this[name].view = views[name];
      else this[name].fit(false);
    }
  }

  /** Stops a box that is being drawn, and its buttons. */
  cancelBoxes() {
    for (const name of ["map", "space"]) {
      this.boxes[name].cancel();
      this.frames[name].disarm();
    }
  }

  #watch(name) {
    const pane = this[name];
    const { atlas } = this;
    const { map } = pane;
    let pending = null;
    const point = (at) => {
      const row = at ? pane.pick(at.x, at.y, atlas.fails) : -1;
      map.getCanvas().classList.toggle("over", row >= 0);
      atlas.hover(row);
      this.frames[name].tip(at, row < 0 ? null : [atlas.points.id[row], `${atlas.labelText(row)} · ${yearText(atlas.points, row)}`]);
    };
    map.on("mousemove", ({ point: at }) => {
      if (map.isMoving()) return;
      if (!pending) requestAnimationFrame(() => {
        if (pending) point(pending);
        pending = null;
      });
      pending = at;
    });
    map.on("mouseout", () => {
      pending = null;
      point(null);
    });
    map.on("movestart", () => this.frames[name].tip(null, null));
    map.on("click", ({ point: at, originalEvent }) => {
      if (originalEvent.shiftKey) return;
      const row = pane.pick(at.x, at.y, atlas.fails, atlas.state.selected);
      if (row >= 0) atlas.select(row);
    });
    // Else the pane keeps the keyboard, and arrows would move it instead of walking the neighbours.
    pane.container.addEventListener("click", () => {
      if (atlas.state.selected >= 0) map.getCanvas().blur();
    });
    map.on("moveend", () => atlas.moved(name, pane.fitted ? null : pane.view));
  }
}
