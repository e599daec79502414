// Elements: made here and nowhere else, so that whatever a release says is text and never markup.

/**
 * An element. `text` is its text; `on...` are listeners; `aria-...` are attributes that may be true
 * or false; `data...` and other keys are attributes (true: present, false: absent). What is null or
 * undefined is left out.
 * @param {...(Node | null)} children
 */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "text") element.textContent = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key.startsWith("aria-") && typeof value === "boolean") element.setAttribute(key, String(value));
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** A small mark in the colour of a category: a disc, or a diamond. */
export function markOf({ hex, mark }) {
  const svg = document.createElementNS(SVG, "svg");
  const shape = document.createElementNS(SVG, mark ? "path" : "circle");
  const attributes = mark ? { d: "M6 0.6 11.4 6 6 11.4 0.6 6Z" } : { cx: 6, cy: 6, r: 4.8 };
  for (const [key, value] of Object.entries({ ...attributes, fill: hex })) shape.setAttribute(key, value);
  svg.setAttribute("viewBox", "0 0 12 12");
  svg.setAttribute("class", "mark");
  svg.setAttribute("aria-hidden", "true");
  svg.append(shape);
  return svg;
}

/** An icon of 16 by 16, stroked in the colour of the text. */
export function icon(path) {
  const svg = document.createElementNS(SVG, "svg");
  const shape = document.createElementNS(SVG, "path");
  shape.setAttribute("d", path);
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(shape);
  return svg;
}

export const ICONS = {
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  fit: "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
  box: "M3 3h2M7 3h2M11 3h2v2M13 7v2M13 11v2h-2M9 13H7M5 13H3v-2M3 9V7M3 5V3",
  sight: "M2 4h12M4 8h8M6 12h4",
  close: "M4 4l8 8M12 4l-8 8",
  pin: "M6 2h4l-.6 4.2L12 8.5v1H4v-1l2.6-2.3zM8 9.5V14",
  target: "M8 1.5v3M8 11.5v3M1.5 8h3M11.5 8h3M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6z",
  out: "M6.5 3.5h-3v9h9v-3M9 3h4v4M13 3 7.5 8.5",
  left: "M10 3 5 8l5 5",
  right: "M6 3l5 5-5 5",
  sun: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6zM8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.2 1.2M11.8 11.8 13 13M13 3l-1.2 1.2M4.2 11.8 3 13",
  moon: "M13 9.7A5.6 5.6 0 0 1 6.3 3 5.6 5.6 0 1 0 13 9.7z",
  link: "M6.8 9.2a2.6 2.6 0 0 0 3.7 0l2.2-2.2a2.6 2.6 0 0 0-3.7-3.7l-.9.9M9.2 6.8a2.6 2.6 0 0 0-3.7 0L3.3 9a2.6 2.6 0 0 0 3.7 3.7l.9-.9",
};

/** A button with an icon; `label` is what it says to those who do not see it. */
export function iconButton(name, label, onclick, more = {}) {
  return el("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...more }, icon(ICONS[name]));
}

/** Renders anew what is inside `place`, and keeps the focus on what has the same `data-focus`. */
export function renderInto(place, ...children) {
  const focused = place.contains(document.activeElement) && document.activeElement.dataset.focus;
  place.replaceChildren(...children.filter(Boolean));
  if (focused) place.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

export function whole(number) {
  return number.toLocaleString("en");
}
