// The frame of a pane: its title, its buttons, and the words that follow the pointer.

import { el, iconButton } from "./dom.js";

/**
 * @param {HTMLElement} place
 * @param {object} given title; pane: see panes/pane.js; on: sight(), disarmed()
 * @returns {{armed: () => boolean, disarm: () => void, tip: (at, words) => void, setTitle}}
 */
export function framePane(place, { title, pane, sight }) {
  const heading = el("h2", { class: "pane-title", text: title });
  const box = iconButton("box", "Draw a box (or shift and drag)", () => press(!armed()), { "aria-pressed": "false" });
  const armed = () => box.getAttribute("aria-pressed") === "true";
  const press = (on) => {
    box.setAttribute("aria-pressed", String(on));
    place.classList.toggle("armed", on);
  };
  const tools = el(
    "div",
    { class: "tools", role: "toolbar", "aria-label": `${title}: tools` },
    iconButton("plus", "Zoom in", () => pane.zoomBy(1)),
    iconButton("minus", "Zoom out", () => pane.zoomBy(-1)),
    iconButton("fit", "Show all patches", () => pane.fit()),
    box,
    iconButton("sight", "Keep only what is in sight", sight),
  );
  const tip = el("div", { class: "tip", hidden: true, "aria-hidden": "true" });
  place.append(heading, tools, tip);
  const canvas = pane.map.getCanvas();
  canvas.setAttribute("aria-label", `${title}. Arrow keys move it while it has the focus, plus and minus zoom.`);
  return {
    armed,
    disarm: () => press(false),
    setTitle: (words) => (heading.textContent = words),
    tip: (at, lines) => {
      tip.hidden = !lines;
      if (!lines) return;
      tip.replaceChildren(...lines.map((line) => el("div", { text: line })));
      const left = Math.max(4, Math.min(at.x + 12, place.clientWidth - tip.offsetWidth - 4));
      const below = at.y + 14 + tip.offsetHeight < place.clientHeight;
      tip.style.left = `${left}px`;
      tip.style.top = `${below ? at.y + 14 : at.y - tip.offsetHeight - 10}px`;
    },
  };
}
