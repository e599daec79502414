// Keys that work wherever the focus is: Escape, and arrows into the list of neighbours.

const ARROWS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];
const OWN_ARROWS = "input, select, textarea, summary, .maplibregl-canvas";

/** @param {import("./atlas.js").Atlas} atlas */
export function watchKeys(atlas) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && event.target.value) return; // a search is emptied by it
    if (event.key === "Escape") escape(atlas);
    else if (ARROWS.includes(event.key) && !event.target.closest(OWN_ARROWS)) {
      const first = atlas.places.inspector.querySelector(".card");
      if (!first) return;
      event.preventDefault();
      first.focus();
    }
  });
}

/** Closes what is open, one thing a press: the patch, then the boxes, then the pin. */
function escape(atlas) {
  const { selected, boxes, pinned } = atlas.state;
  atlas.panes.cancelBoxes();
  if (selected >= 0) atlas.select(-1);
  else if (boxes.map || boxes.space) atlas.set({ boxes: { map: null, space: null } });
  else if (pinned >= 0) atlas.set({ pinned: -1 });
}
