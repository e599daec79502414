// A pane: a MapLibre map with a layer of points, which answers where a row is on the screen and
// which row is at a place. Knows nothing of filters and colours but what it is handed.

import { Map as MapLibre, setWorkerUrl } from "maplibre-gl";

import { AtlasError } from "../data/errors.js";
import { PointLayer } from "./layer.js";
import { NO_ADDRESS } from "./no_worker.js";
import { boundsOf, lonLat, mercator } from "./plane.js";

const WORLD = 512; // side of the world at zoom 0, in CSS pixels
const REACH = 10; // a click this far from a point still means it, in CSS pixels
const NARROW = window.matchMedia("(max-width: 760px)"); // the page then has its buttons below
const FREE = { top: 42, right: 58, bottom: 26, left: 20 }; // around what is fitted: title and buttons
const FREE_NARROW = { top: 42, right: 16, bottom: 60, left: 16 };
const CLOSEST_FIT = 15; // half a kilometre across
const ONE_PLACE = 8; // zoom for rows that are all at one place: what lies round it says where

setWorkerUrl(NO_ADDRESS);

export class Pane {
  /**
   * @param {HTMLElement} container
   * @param {object} options n: rows; maxZoom; still(): whether nothing may be animated
   */
  constructor(container, { n, maxZoom, still }) {
    this.container = container;
    this.still = still;
    this.layer = new PointLayer(n);
    this.positions = new Float64Array(2 * n);
    this.fitZoom = 0; // where all rows are just in sight
    this.fitted = false; // whether it shows all rows, as nobody has moved it since
    try {
      this.map = new MapLibre({
        container,
        style: { version: 8, sources: {}, layers: [] },
        maxZoom,
        minZoom: 0,
        maxPitch: 0,
        attributionControl: false,
        boxZoom: false,
        dragRotate: false,
        touchPitch: false,
        pitchWithRotate: false,
        renderWorldCopies: false,
        fadeDuration: 0,
        canvasContextAttributes: { antialias: false },
      });
    } catch (error) {
      const words = error.name === "GPUInitializationError" ? "WebGL 2 does not start" : error.message;
      throw new AtlasError(
        `This browser cannot draw the map: ${words}.`,
        "Turn on hardware acceleration in its settings, or use another browser.",
      );
    }
    this.map.touchZoomRotate.disableRotation();
    this.map.keyboard.disableRotation();
    this.layer.view = () => this.#view();
    this.ready = new Promise((resolve) => this.map.once("style.load", resolve)).then(() => {
      this.map.addLayer(this.layer);
    });
    this.map.on("zoom", () => this.#resize());
    this.map.on("movestart", (event) => event.originalEvent && (this.fitted = false));
    this.map.on("wheel", () => (this.fitted = false)); // whose moves tell of no event
    this.map.on("resize", () => (this.fitted ? this.fit(false) : this.#resize()));
  }

  /** @param {object} plane see plane.js; @param {Float64Array} positions x and y by turns, in worlds */
  setPlane(plane, positions) {
    this.plane = plane;
    this.positions = positions;
    this.layer.setPositions(positions);
  }

  /** Where a row is, in CSS pixels from the pane's corner. */
  project(row) {
    return this.fromWorld(this.positions[2 * row], this.positions[2 * row + 1]);
  }

  fromWorld(x, y) {
    const { centre, pixels, width, height } = this.frame;
    return { x: (x - centre[0]) * pixels + width / 2, y: (y - centre[1]) * pixels + height / 2 };
  }

  toWorld(x, y) {
    const { centre, pixels, width, height } = this.frame;
    return [(x - width / 2) / pixels + centre[0], (y - height / 2) / pixels + centre[1]];
  }

  /**
   * The row nearest to a place on the screen among those that pass, or -1. Of rows on the same
   * spot the one after `current` in their order, so that clicking again shows each in turn.
   */
  pick(x, y, fails, current = -1) {
    const { pixels } = this.frame;
    const [wx, wy] = this.toWorld(x, y);
    const reach = Math.max(REACH, this.layer.radius + 2) / pixels;
    let [best, found] = [reach * reach, []];
    for (let row = 0; row < fails.length; row++) {
      if (fails[row]) continue;
      const dx = this.positions[2 * row] - wx;
      const dy = this.positions[2 * row + 1] - wy;
      const far = dx * dx + dy * dy;
      if (far < best) [best, found] = [far, [row]];
      else if (far === best && found.length) found.push(row);
    }
    return found.length ? found[(found.indexOf(current) + 1) % found.length] : -1;
  }

  /** A test whether a row lies in a box of data coordinates [x0, y0, x1, y1], y upwards. */
  within([x0, y0, x1, y1]) {
    const [west, south] = this.plane.toWorld(x0, y0);
    const [east, north] = this.plane.toWorld(x1, y1);
    const { positions } = this;
    return (row) => {
      const [x, y] = [positions[2 * row], positions[2 * row + 1]];
      return x >= west && x <= east && y >= north && y <= south;
    };
  }

  /** Shows all rows, and goes on to when the pane changes its size. */
  fit(animate = true) {
    const bounds = boundsOf(this.positions);
    if (!bounds) return;
    this.fitted = true;
    this.#fitTo(bounds, animate);
  }

  /** Brings a row into sight, without moving where it is in sight already. */
  reveal(row) {
    const { width, height } = this.frame;
    const { x, y } = this.project(row);
    if (!(x > 20 && y > 20 && x < width - 20 && y < height - 20)) this.flyTo(row);
  }

  flyTo(row, zoom = this.map.getZoom()) {
    const center = lonLat(this.positions[2 * row], this.positions[2 * row + 1]);
    if (!center.every(Number.isFinite)) return;
    this.fitted = false;
    this.#move({ center, zoom }, true);
  }

  zoomBy(steps) {
    this.fitted = false;
    this.#move({ zoom: this.map.getZoom() + steps }, true);
  }

  /** [zoom, second, first] of the centre in data coordinates, as links carry it. */
  get view() {
    const { lng, lat } = this.map.getCenter();
    const [x, y] = this.plane.toData(...mercator(lng, lat));
    return [this.map.getZoom(), ...(this.plane.swapped ? [y, x] : [x, y])];
  }

  set view([zoom, a, b]) {
    const [x, y] = this.plane.toWorld(...(this.plane.swapped ? [b, a] : [a, b]));
    this.fitted = false;
    this.#move({ center: lonLat(x, y), zoom }, false);
  }

  /** The data coordinates in sight: [x0, y0, x1, y1]. */
  get sight() {
    const { width, height } = this.frame;
    const [x0, y1] = this.plane.toData(...this.toWorld(0, 0));
    const [x1, y0] = this.plane.toData(...this.toWorld(width, height));
    return [x0, y0, x1, y1];
  }

  #fitTo([west, north, east, south], animate) {
    const { width, height } = this.frame;
    const free = NARROW.matches ? FREE_NARROW : FREE;
    const byWidth = Math.log2((width - free.left - free.right) / (WORLD * Math.max(east - west, 1e-9)));
    const byHeight = Math.log2((height - free.top - free.bottom) / (WORLD * Math.max(south - north, 1e-9)));
    const closest = west === east && north === south ? ONE_PLACE : CLOSEST_FIT;
    const zoom = Math.max(0, Math.min(byWidth, byHeight, closest));
    const pixels = WORLD * 2 ** zoom;
    const x = (west + east + (free.right - free.left) / pixels) / 2;
    const y = (north + south + (free.bottom - free.top) / pixels) / 2;
    this.fitZoom = zoom;
    this.#move({ center: lonLat(x, y), zoom }, animate);
    this.#resize();
  }

  #move(camera, animate) {
    if (animate && !this.still()) this.map.easeTo({ ...camera, duration: 400 });
    else this.map.jumpTo(camera);
  }

  /** Points grow slowly as one zooms in; fewer points are larger. */
  #resize() {
    const { width, height } = this.frame;
    const base = Math.sqrt((width * height) / this.layer.n) * 0.32;
    const grown = Math.max(1.7, Math.min(5.5, base)) * 2 ** ((this.map.getZoom() - this.fitZoom) * 0.28);
    this.layer.radius = Math.max(1.7, Math.min(8, grown));
  }

  /** The centre in worlds, the world's side and the pane's sides in CSS pixels. */
  get frame() {
    const { lng, lat } = this.map.getCenter();
    const canvas = this.map.getCanvas();
    return {
      centre: mercator(lng, lat),
      pixels: WORLD * 2 ** this.map.getZoom(),
      width: canvas.clientWidth,
      height: canvas.clientHeight,
    };
  }

  #view() {
    const { centre, pixels, width, height } = this.frame;
    return { centre, scale: [(2 * pixels) / width, (-2 * pixels) / height] };
  }
}
