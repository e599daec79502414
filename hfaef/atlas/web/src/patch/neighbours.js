// The twelve nearest neighbours of the selected patch, as cards that the arrow keys walk through.

import { yearText } from "../model/words.js";
import { el, markOf } from "../ui/dom.js";
import { picture } from "./picture.js";

export function neighbourList(atlas) {
  const { points, near, state } = atlas;
  const ofLabel = ["label", "number"].includes(state.color); // else the colour says something else
  const cards = near.map(({ row, cosine }, index) => {
    const samePatch = points.id[row] === points.id[state.selected];
    const label = atlas.labelText(row);
    const year = yearText(points, row);
    const notes = [atlas.severalYears ? year : null, samePatch ? "same" : null].filter(Boolean);
    return el(
      "li",
      {},
      el(
        "button",
        {
          type: "button",
          class: `card${samePatch ? " same" : ""}`,
          "data-focus": `near ${index}`,
          "aria-label": `Neighbour ${index + 1}: ${points.id[row]}, ${label}, ${year}, cosine ${cosine.toFixed(4)}`,
          title: `${points.id[row]}${samePatch ? " (the same patch)" : ""}\n${label} · ${year}`,
          onclick: () => atlas.select(row),
          onpointerenter: () => atlas.hover(row),
          onpointerleave: () => atlas.hover(-1),
          onfocus: () => atlas.hover(row),
          onblur: () => atlas.hover(-1),
        },
        picture(atlas.previews, row, ""),
        el("span", { class: "cosine", text: cosine.toFixed(4) }),
        el("span", { class: "label" }, ofLabel ? markOf(atlas.swatchOf(row)) : null, el("span", { text: label })),
        notes.length ? el("span", { class: "note" }, ...notes.map((words) => el("span", { text: words }))) : null,
      ),
    );
  });
  return el("ol", { class: "cards", role: "list", onkeydown: walk }, ...cards);
}

/** Arrow keys move the focus among cards; up and down by a row of the grid. */
function walk(event) {
  const cards = [...event.currentTarget.querySelectorAll(".card")];
  const columns = getComputedStyle(event.currentTarget).gridTemplateColumns.split(" ").length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  const now = cards.indexOf(document.activeElement);
  if (!step || now < 0) return;
  event.preventDefault();
  event.stopPropagation();
  cards[Math.max(0, Math.min(cards.length - 1, now + step))].focus();
}
