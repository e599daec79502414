// The panel of one patch: its preview, its facts, how it compares with a pinned one, and its
// neighbours. With none selected it tells of the release.

import { targetTitle, yearText } from "../model/words.js";
import { el, icon, iconButton, ICONS, renderInto } from "../ui/dom.js";
import { about } from "./about.js";
import { neighbourList } from "./neighbours.js";
import { picture } from "./picture.js";

export class Inspector {
  constructor(place, atlas) {
    this.place = place;
    this.atlas = atlas;
  }

  render() {
    const { atlas, place } = this;
    const { state } = atlas;
    if (state.selected < 0) {
      renderInto(place, state.pinned >= 0 ? this.#pinned() : null, about(atlas));
      return;
    }
    renderInto(place, this.#patch(state.selected), state.pinned >= 0 ? this.#pinned() : null, this.#neighbours());
  }

  /** Moves the bar of the vectors that are being read. */
  progress(done, total) {
    const bar = this.place.querySelector("progress");
    if (bar) [bar.max, bar.value] = [total, done];
  }

  #patch(row) {
    const { atlas } = this;
    const { points, state } = atlas;
    const isPinned = state.pinned === row;
    return el(
      "section",
      { class: "patch", "aria-label": "Selected patch" },
      el(
        "header",
        {},
        el("h2", { text: points.id[row], title: points.id[row] }),
        iconButton("close", "Close (Escape)", () => atlas.select(-1), { "data-focus": "close" }),
      ),
      el(
        "div",
        { class: "look" },
        picture(atlas.previews, row, `Preview of ${points.id[row]}`, true),
        el(
          "div",
          { class: "actions" },
          button("target", "Zoom here", () => atlas.flyTo(row), "fly"),
          button("pin", isPinned ? "Unpin" : "Compare", () => atlas.set({ pinned: isPinned ? -1 : row }), "pin", "Keep this patch beside the next ones"),
          satelliteLink(points.lat[row], points.lon[row]),
        ),
      ),
      el("dl", { class: "facts" }, ...facts(atlas, row).flatMap(([name, value, kind]) => [el("dt", { text: name }), el("dd", { class: kind ?? null }, value)])),
    );
  }

  #pinned() {
    const { atlas } = this;
    const { points, state } = atlas;
    const { selected, pinned } = state;
    const same = selected === pinned || selected < 0;
    const cosine = same ? null : atlas.cosineWith(pinned);
    return el(
      "section",
      { class: "compare", "aria-label": "Comparison" },
      el("header", {}, el("h3", { text: "Pinned" }), iconButton("close", "Remove the pin", () => atlas.set({ pinned: -1 }), { "data-focus": "unpin" })),
      el(
        "div",
        { class: "pair" },
        picture(atlas.previews, pinned, `Preview of ${points.id[pinned]}`),
        el(
          "div",
          {},
          el("button", { type: "button", class: "link", "data-focus": "topinned", onclick: () => atlas.select(pinned), text: points.id[pinned] }),
          el("p", { text: `${atlas.labelText(pinned)} · ${yearText(points, pinned)}` }),
          el("p", { class: "cosine", id: "compared" }, ...(same ? [text("Select another patch to compare with this one.")] : [text("Cosine with the selected patch: "), el("strong", { text: cosine === null ? "…" : decimals(cosine) })])),
        ),
      ),
    );
  }

  #neighbours() {
    const { atlas } = this;
    const head = el("h3", { text: "Nearest neighbours" });
    const section = (...inside) => el("section", { class: "neighbours", "aria-label": "Nearest neighbours" }, head, ...inside);
    const failure = atlas.vectorsFailure;
    if (failure) return section(el("p", { class: "hint", text: failure.brief ?? `${failure.message} ${failure.hint ?? ""}` }));
    if (!atlas.near) {
      const { done, total } = atlas.vectorsProgress;
      const bar = el("progress", { "aria-label": "Reading vectors", max: total || 1, value: done }); // without a value it moves, and is drawn all the time
      return section(el("p", { class: "hint", role: "status", text: "Reading the vectors of all patches, once…" }), bar);
    }
    if (!atlas.near.length) return section(el("p", { class: "hint", text: "There is no other patch to compare with." }));
    return section(
      el("p", { class: "hint", text: "By cosine of the mean vectors, over all patches and years, filtered or not. Arrow keys move, Enter selects." }),
      neighbourList(atlas),
    );
  }
}

function facts(atlas, row) {
  const { points, state } = atlas;
  const { meta } = points;
  const out = [[targetTitle(meta), text(atlas.labelText(row))]];
  const scheme = meta.schemes[state.scheme];
  const predicted = scheme && atlas.predictedText(row, state.scheme);
  if (predicted) out.push(["Predicted", text(predicted.text), predicted.wrong ? "wrong" : null]);
  if (scheme) {
    const split = points.splits[state.scheme][row] || "unassigned";
    out.push([scheme.folds ? "Fold" : "Split", text(meta.schemes.length > 1 ? `${split} (${scheme.name})` : split)]);
  }
  out.push(["Year", text(yearText(points, row))]);
  out.push(["Place", text(placeText(points.lat[row], points.lon[row]))]);
  const valid = points.valid[row];
  out.push(["Valid pixels", text(Number.isFinite(valid) ? `${Number((valid * 100).toFixed(2))} %` : "unknown")]);
  return out;
}

/** Satellite imagery of a place, in a new tab; nothing of it is loaded here. */
function satelliteLink(lat, lon) {
  if (!Number.isFinite(lat) || !Number.isFinite(lon)) return null;
  const centre = `${lat.toFixed(5)}%2C${lon.toFixed(5)}`;
  const href = `https://www.google.com/maps/@?api=1&map_action=map&center=${centre}&zoom=16&basemap=satellite`;
  return el("a", { class: "button", href, target: "_blank", rel: "noopener noreferrer", "data-focus": "satellite", title: "Satellite imagery of this place, in a new tab" }, icon(ICONS.out), el("span", { text: "Satellite" }));
}

function placeText(lat, lon) {
  if (!Number.isFinite(lat) || !Number.isFinite(lon)) return "unknown";
  const side = (value, plus, minus) => `${Math.abs(value).toFixed(4)}° ${value < 0 ? minus : plus}`;
  return `${side(lat, "N", "S")}, ${side(lon, "E", "W")}`;
}

function button(name, label, onclick, focus, title = null) {
  return el("button", { type: "button", class: "button", onclick, title, "data-focus": focus }, icon(ICONS[name]), el("span", { text: label }));
}

export function decimals(cosine) {
  return cosine.toFixed(4);
}

function text(words) {
  return document.createTextNode(words);
}
