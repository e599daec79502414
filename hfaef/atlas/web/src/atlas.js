// The atlas: the state of the view, what follows from it (facets, colours, filters, neighbours),
// and the panes and panels that show it. Every change goes through `set`.

import { Previews } from "./data/previews.js";
import { readLayout } from "./data/points.js";
import { pagesOf, swatches } from "./model/colours.js";
import { facetsOf, similarityFacet } from "./model/facets.js";
import { applyFilters, countFacet } from "./model/filter.js";
import { initialState, readFragment, writeFragment } from "./model/state.js";
import { roundedText } from "./model/words.js";
import { Panes } from "./panes/panes.js";
import { Inspector } from "./patch/inspector.js";
import { Controls, renderCount } from "./ui/controls.js";
import { say } from "./ui/notice.js";
import { nearest, readVectors } from "./vectors/vectors.js";

const NEIGHBOURS = 12;
const QUIET = 250; // ms after the last change before the address is written
const CLOSE_UP = 15; // zoom at which a patch is looked at
const DERIVED_FROM = ["scheme", "color", "picks", "valid", "q", "boxes", "page", "layout"]; // keys of the state

export class Atlas {
  /**
   * @param {object} given points: see data/points.js; source; site: atlas.json; theme; places:
   *   the page's elements by name
   */
  constructor({ points, source, site, theme, places }) {
    Object.assign(this, { points, source, site, theme, places });
    this.layouts = [...new Set([points.meta.layout, ...site.layouts])];
    this.initial = initialState(points, site.layouts.includes("tsne") ? "tsne" : points.meta.layout);
    this.#readAddress();
    this.severalYears = points.year.some((year) => year !== points.year[0]);
    this.previews = new Previews(source, points);
    this.near = null; // [{row, cosine}], null until it is known
    this.cosines = null; // of all rows with the selected one
    this.vectorsFailure = null;
    this.vectorsProgress = { done: 0, total: 0 };
    this.coordinates = { [points.meta.layout]: { x: points.x, y: points.y } };
    this.panes = new Panes(places, this);
    this.controls = new Controls(places.controls, this);
    this.inspector = new Inspector(places.inspector, this);
    theme.onChange(() => {
      if (!this.started) return;
      this.#show();
      this.#write(false);
    });
    window.addEventListener("hashchange", () => this.#restore());
  }

  /** Resolves when the points are drawn. */
  async start() {
    await this.panes.ready;
    await this.#useLayout();
    this.#derive();
    this.#show();
    this.panes.restore(this.state.views);
    await this.panes.drawn();
    this.started = true;
    this.#show(); // if the theme has changed meanwhile
    this.#sayMissing();
    if (this.state.selected >= 0) this.#meet(false); // a link says itself where to look
  }

  /** Changes the state and all that follows from it. */
  set(changes, { push = false } = {}) {
    this.state = { ...this.state, ...changes };
    this.#derive();
    this.#show();
    this.#write(push);
  }

  /** Selects a row, or none (-1). */
  select(row) {
    if (row === this.state.selected) return;
    this.#clearNear();
    this.state = { ...this.state, selected: row };
    this.#meet(true);
    this.#write(true);
    if (row >= 0 && this.places.main.dataset.narrow !== undefined) this.places.inspector.scrollIntoView();
  }

  hover(row) {
    this.panes.mark({ hovered: row });
  }

  flyTo(row) {
    this.panes.flyTo(row, CLOSE_UP);
  }

  setBox(pane, box) {
    this.set({ boxes: { ...this.state.boxes, [pane]: box } });
  }

  clearFilters = () => this.set({ picks: {}, valid: 0, q: "", boxes: { map: null, space: null } });

  /** Another layout; what was boxed and looked at in the one before is let go. */
  async setLayout(layout) {
    const { boxes, views } = this.state;
    this.state = { ...this.state, layout, boxes: { ...boxes, space: null }, views: { ...views, space: null } };
    await this.#useLayout();
    this.set({});
  }

  /** Remembers where a pane looks; null: at all rows. */
  moved(pane, view) {
    if (!this.started) return;
    this.state.views = { ...this.state.views, [pane]: view };
    this.#write(false);
  }

  /** Cosine of the selected row with another, or null until the vectors are read. */
  cosineWith(row) {
    return this.cosines?.[row] ?? null;
  }

  countsOf(facet) {
    return countFacet(this.facets, facet, this.fails);
  }

  get coloured() {
    return this.facets.findIndex(({ key }) => key === this.state.color);
  }

  labelText(row) {
    const { points } = this;
    if (points.number) return targetText(points.number[row], points.meta);
    return targetText(points.label ? points.label[row] : points.labels[row], points.meta);
  }

  /** What is predicted of a row, and whether it is wrong; null where the scheme has no predictions. */
  predictedText(row, scheme) {
    const { points } = this;
    if (!points.predicted[scheme]) return null;
    const predicted = points.predicted[scheme][row];
    if (predicted === undefined || predicted === null || predicted === -1 || Number.isNaN(predicted)) {
      const split = points.splits[scheme][row];
      const none = points.meta.schemes[scheme].folds ? "it is in no fold" : "it is in no split";
      const where = split && split !== "unassigned" ? `it is in ${split}` : none;
      return { text: split === "test" ? "not asked" : `not asked, ${where}`, wrong: false };
    }
    const text = targetText(predicted, points.meta);
    if (!points.number) return { text, wrong: text !== this.labelText(row) };
    const error = predicted - points.number[row];
    const signed = `${error < 0 ? "−" : "+"}${targetText(Math.abs(error), points.meta)}`;
    return { text: Number.isNaN(error) ? text : `${text} (error ${signed})`, wrong: false };
  }

  get filtered() {
    const { picks, valid, q, boxes } = this.state;
    return Object.values(picks).some((names) => names.length) || valid > 0 || q.trim() !== "" || Object.values(boxes).some(Boolean);
  }

  #readAddress() {
    const facets = (scheme) => facetsOf(this.points, scheme);
    Object.assign(this, readFragment(location.hash, this.points, this.initial, this.layouts, facets));
  }

  /** Names what the address asked for in vain, and takes it out of the address. */
  #sayMissing() {
    if (!this.missing.length) return;
    say(`The release does not have what the link names: ${this.missing.join(", ")}.`);
    this.#write(false);
  }

  /** The state as the address has it now: after a step back, or a link typed in. */
  async #restore() {
    clearTimeout(this.writing);
    const { selected } = this.state;
    this.#readAddress();
    this.#sayMissing();
    if (this.state.selected !== selected) this.#clearNear();
    await this.#useLayout();
    this.panes.restore(this.state.views);
    this.#meet(false);
  }

  /** Puts the points where the state's layout has them; the release's own where it cannot be read. */
  async #useLayout() {
    const { meta } = this.points;
    try {
      this.coordinates[this.state.layout] ??= await readLayout(this.source, this.state.layout, this.points);
    } catch (error) {
      say(`${error.message} ${error.hint ?? ""}`);
      this.state = { ...this.state, layout: meta.layout };
    }
    const { layout } = this.state;
    if (this.placed === layout) return;
    this.placed = layout;
    this.panes.setLayout(this.coordinates[layout], layout);
  }

  #clearNear() {
    this.near = null;
    this.cosines = null;
  }

  /** Shows the selected patch; finds its neighbours, reading the vectors on the first time. */
  #meet(reveal) {
    const { selected } = this.state;
    if (selected >= 0 && this.vectors && !this.cosines) this.#compare();
    else {
      this.#derive();
      this.#show();
    }
    if (selected < 0) return;
    if (reveal) this.panes.reveal(selected);
    if (!this.vectors && !this.reading) this.#readVectors();
  }

  async #readVectors() {
    this.vectorsFailure = null;
    try {
      this.reading = readVectors(this.source, this.points, (done, total) => {
        this.vectorsProgress = { done, total };
        this.inspector.progress(done, total);
      });
      this.vectors = await this.reading;
      if (this.state.selected >= 0) this.#compare();
    } catch (error) {
      this.reading = null;
      this.vectorsFailure = error;
      this.inspector.render();
    }
  }

  #compare() {
    const start = performance.now();
    this.cosines = this.vectors.cosines(this.state.selected);
    this.near = nearest(this.cosines, this.state.selected, NEIGHBOURS);
    performance.measure("neighbours", { start }); // the benchmark reads it
    this.#derive();
    this.#show();
  }

  /** What follows from the state, unless it is known: selecting a patch changes none of it. */
  #derive() {
    const { points, state } = this;
    const similar = state.color === "similarity" || state.picks.similarity?.length > 0;
    const from = [...DERIVED_FROM.map((key) => state[key]), similar && this.cosines];
    if (this.derivedFrom?.every((one, index) => Object.is(one, from[index]))) return;
    this.derivedFrom = from;
    if (this.facetsScheme !== state.scheme) {
      this.schemeFacets = facetsOf(points, state.scheme);
      this.facetsScheme = state.scheme;
    }
    this.facets = [...this.schemeFacets];
    if (similar && this.cosines) this.facets.push(similarityFacet(this.cosines));
    const known = state.color === "similarity" || this.coloured >= 0;
    if (!known) state.color = this.facets[0].key;
    const facet = this.facets[this.coloured];
    state.page = Math.min(state.page, facet ? pagesOf(facet) - 1 : 0);
    const boxes = Object.entries(state.boxes).filter(([, box]) => box);
    const tests = boxes.map(([pane, box]) => this.panes.within(pane, box));
    Object.assign(this, applyFilters(points, this.facets, state, tests));
  }

  #show() {
    const { state, theme } = this;
    if (this.painted?.fails !== this.fails || this.painted.theme !== theme.name) {
      const facet = this.facets[this.coloured];
      this.swatches = facet ? swatches(facet, state.page, theme.name) : null;
      this.swatchOf = this.#swatcher(facet, this.swatches);
      this.panes.paint(this, theme.name);
      this.controls.render();
      renderCount(this.places.count, this);
      this.painted = { fails: this.fails, theme: theme.name };
    }
    this.panes.mark({ selected: state.selected, pinned: state.pinned, near: (this.near ?? []).map(({ row }) => row), hovered: -1 });
    this.panes.setBoxes(state.boxes);
    this.inspector.render();
  }

  /** The swatch of a row: of several labels that of one that is picked, or of its rarest. */
  #swatcher(facet, list) {
    if (!facet) {
      const [plain] = swatches({ kind: "names", names: [""], rest: 0 }, 0, this.theme.name);
      return () => plain;
    }
    const { key, sets, of, names } = facet;
    const picks = this.state.picks[key];
    if (!sets || !picks?.length) return (row) => list[of[row]];
    const picked = names.map((name) => picks.includes(name));
    return (row) => list[sets[row]?.find((one) => picked[one]) ?? of[row]];
  }

  #write(push) {
    clearTimeout(this.writing);
    const write = (how) => {
      const fragment = writeFragment(this.state, this.points, this.initial, this.theme.chosen);
      history[how](null, "", `#${fragment}`);
    };
    if (push) write("pushState");
    else this.writing = setTimeout(() => write("replaceState"), QUIET);
  }
}

/** A label, labels or a number in words. */
function targetText(value, { target, labelNames }) {
  if (target === "class") return value < 0 ? "no label" : labelNames[value];
  if (target === "classes") return value?.length ? Array.from(value, (one) => labelNames[one]).join(", ") : "no label";
  return Number.isNaN(value) ? "no number" : roundedText(value);
}
