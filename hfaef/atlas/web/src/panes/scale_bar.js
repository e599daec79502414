// The map's scale: a bar of a round length, true at the latitude of the pane's middle.

import { el } from "../ui/dom.js";
import { lonLat } from "./plane.js";

const LONGEST = 150; // CSS pixels; the shortest, two fifths of it, has room for its words
const EQUATOR = 40_075_017; // metres

/** @param {import("./pane.js").Pane} pane of the map */
export function addScaleBar(pane) {
  const words = el("span");
  const bar = el("div", { class: "scale", "aria-hidden": "true" }, words);
  pane.container.append(bar);
  const draw = () => {
    const { centre, pixels } = pane.frame;
    const [, lat] = lonLat(...centre);
    const metre = pixels / (EQUATOR * Math.cos((lat * Math.PI) / 180));
    const metres = round(LONGEST / metre);
    bar.style.width = `${metres * metre}px`;
    words.textContent = metres >= 1000 ? `${(metres / 1000).toLocaleString("en")} km` : `${metres} m`;
  };
  pane.map.on("move", draw);
  draw();
}

/** The largest 1, 2 or 5 times a power of ten that is not above `most`. */
function round(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].find((times) => times * power <= most) * power;
}
