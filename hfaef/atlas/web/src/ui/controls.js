// The panel of colours and filters: what the points are coloured by, the legend, and a filter for
// each facet, the valid fraction, the id and the boxes.

import { firstFound } from "../model/filter.js";
import { el, iconButton, renderInto, whole } from "./dom.js";
import { facetList } from "./facet_list.js";

const TYPING = 120; // ms without a key before a search runs
const PANES = { map: "map", space: "embedding" };
const LAYOUTS = { pca: "PCA", tsne: "t-SNE" };

export class Controls {
  /**
   * @param {HTMLElement} place
   * @param {object} atlas what it shows and changes: see atlas.js
   */
  constructor(place, atlas) {
    this.atlas = atlas;
    this.open = new Set();
    const { points, layouts } = atlas;
    this.search = el("input", {
      type: "search",
      id: "search",
      placeholder: points.meta.labelNames.length ? "Id or label, then Enter" : "Id, then Enter",
      "aria-describedby": "found",
      autocomplete: "off",
      spellcheck: "false",
      oninput: () => this.#type(),
      onkeydown: (event) => event.key === "Enter" && this.#find(),
    });
    this.found = el("p", { class: "hint", id: "found", role: "status" });
    this.colour = el("select", { id: "colour", onchange: () => atlas.set({ color: this.colour.value, page: 0 }) });
    const chooser = (id, names, value) => {
      const select = el("select", { id, onchange: () => value(select.value) });
      select.append(...names.map(([key, text]) => el("option", { value: key, text })));
      return select;
    };
    const schemes = points.meta.schemes.map(({ name }, index) => [index, name]);
    this.scheme = chooser("scheme", schemes, (value) => atlas.set({ scheme: Number(value) }));
    this.layout = chooser("layout", layouts.map((name) => [name, LAYOUTS[name] ?? name]), (layout) => atlas.setLayout(layout));
    this.valid = el("input", { type: "range", id: "valid", min: 0, max: 1, step: 0.01, oninput: () => atlas.set({ valid: Number(this.valid.value) }) });
    this.validText = el("output", { for: "valid" });
    this.legend = el("section", { class: "legend", "aria-label": "Legend" });
    this.filters = el("section", { class: "filters", "aria-label": "Filters" });
    place.replaceChildren(
      field("Colour by", this.colour),
      this.legend,
      field("Search", this.search, this.found),
      el(
        "div",
        { class: "fields" },
        schemes.length > 1 ? field("Split scheme", this.scheme) : null,
        layouts.length > 1 ? field("Layout", this.layout) : null,
      ),
      this.filters,
      el("div", { class: "field" }, el("label", { for: "valid" }, el("span", { text: "Valid pixels, at least " }), this.validText), this.valid),
    );
  }

  render() {
    const { atlas } = this;
    const { state, facets, swatches } = atlas;
    if (document.activeElement !== this.search) this.search.value = state.q;
    this.found.textContent = state.q.trim() ? foundText(atlas.shown) : "Enter selects the patch of that id, else the first found.";
    const modes = facets.map(({ key, title }) => [key, title]);
    if (!modes.some(([key]) => key === "similarity")) modes.push(["similarity", "Similarity to the selected patch"]);
    this.colour.replaceChildren(...modes.map(([value, text]) => el("option", { value, text })));
    this.colour.value = state.color;
    this.scheme.value = String(state.scheme);
    this.layout.value = state.layout;
    this.valid.value = String(state.valid);
    this.validText.textContent = `${Math.round(state.valid * 100)} %`;
    const coloured = facets.findIndex(({ key }) => key === state.color);
    renderInto(
      this.legend,
      el("h2", { text: facets[coloured]?.title ?? "Similarity" }),
      coloured >= 0 ? this.#list(coloured, swatches) : el("p", { class: "hint", text: "Select a patch: the others are then coloured by their cosine with it." }),
      facets[coloured]?.sets ? el("p", { class: "hint", text: "A patch with several labels has the colour of its rarest." }) : null,
    );
    const boxes = Object.keys(PANES).filter((pane) => state.boxes[pane]);
    renderInto(
      this.filters,
      ...facets.map((facet, index) => (index === coloured ? null : this.#details(facet, index))),
      ...boxes.map((pane) =>
        el(
          "div",
          { class: "chip" },
          el("span", { text: `In the box on the ${PANES[pane]}` }),
          iconButton("close", `Remove the box on the ${PANES[pane]}`, () => atlas.setBox(pane, null)),
        ),
      ),
    );
  }

  #details(facet, index) {
    const picked = this.atlas.state.picks[facet.key]?.length ?? 0;
    const details = el(
      "details",
      { open: this.open.has(facet.key), ontoggle: () => this.open[details.open ? "add" : "delete"](facet.key) },
      el("summary", { "data-focus": `summary ${facet.key}` }, el("span", { text: facet.title }), picked ? el("span", { class: "badge", text: `${picked} of ${facet.names.length}` }) : null),
      this.#list(index, null),
    );
    return details;
  }

  #list(index, swatches) {
    const { atlas } = this;
    const facet = atlas.facets[index];
    const picks = atlas.state.picks[facet.key] ?? [];
    const pick = (names) => atlas.set({ picks: { ...atlas.state.picks, [facet.key]: names } });
    return facetList({
      facet,
      swatches,
      picks,
      counts: atlas.countsOf(index),
      page: atlas.state.page,
      toggle: (name) => pick(picks.includes(name) ? picks.filter((one) => one !== name) : [...picks, name]),
      clear: () => pick([]),
      turn: (page) => atlas.set({ page }),
    });
  }

  #type() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.atlas.set({ q: this.search.value }), TYPING);
  }

  /** Enter in the search selects the patch of that very id, else the first of those found. */
  #find() {
    clearTimeout(this.timer);
    const { atlas } = this;
    atlas.set({ q: this.search.value });
    if (!this.search.value.trim()) return;
    const row = firstFound(atlas.points, atlas.fails, this.search.value);
    if (row >= 0) atlas.select(row);
  }
}

/** How many rows are shown, and a button that shows all, for the page's head. */
export function renderCount(place, { shown, points, filtered, clearFilters }) {
  // A patch of several years is a point in each.
  const [one, many] = points.patches === points.n ? ["patch", "patches"] : ["point", "points"];
  const words = `${whole(shown)} of ${whole(points.n)} ${points.n === 1 ? one : many} shown`;
  renderInto(
    place,
    el("span", { id: "shown", role: "status", text: words }),
    filtered ? el("button", { type: "button", class: "link", "data-focus": "clear", onclick: clearFilters, text: "Clear filters" }) : null,
  );
}

function foundText(shown) {
  if (!shown) return "Nothing found.";
  return shown === 1 ? "Enter selects it." : "Enter selects the patch of that id, else the first found.";
}

function field(label, input, hint = null) {
  return el("div", { class: "field" }, el("label", { for: input.id, text: label }), input, hint);
}
