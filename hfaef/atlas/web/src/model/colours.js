// Colours and marks of categories: at most twelve at a time, six as discs and six as diamonds.
// Categories beyond the twelve are grey, and the legend turns to the next twelve. The twelve were
// searched for so that any two of one mark differ by 0.09 or more in OKLab for eyes with and
// without red or green cones, by 0.07 without blue ones (Machado et al. 2009). A category has the same hue in
// light and dark; only how light it is differs.

export const AT_ONCE = 12;
const ROUND = 0;
const DIAMOND = 1;

const NAMES = {
  light: "#0072b2 #e08a00 #0a9a74 #48d8f8 #9e92fd #754e08 #5c3aa9 #9dd66e #d55421 #c79ab8 #912f5b #7e6aea",
  dark: "#248ddf #ff9818 #4ec094 #7beefe #bea3fe #8e6930 #815fd4 #bfec8a #f4714c #d6b0c3 #b8567e #7f89fe",
};
const RAMP = {
  light: "#f3d13b #9fcb3f #4fb96a #22a080 #25848e #31688e #3e4a89 #440154",
  dark: "#482878 #3e5c99 #31789a #26a08d #4fc16b #98d83e #dde318 #fdf07a",
};
const VERDICT = { light: "#2f7fb8 #d1440c", dark: "#4aa8e8 #ff7a45" };
const GREY = { light: "#aab2ba", dark: "#5d6873" };

/**
 * The swatch of each category of a facet.
 * @param {number} page which twelve are coloured
 * @param {"light" | "dark"} theme
 * @returns {{rgb: number[], hex: string, mark: number, grey: boolean}[]}
 */
export function swatches({ kind, names, rest }, page, theme) {
  const categories = rest < 0 ? names.length : rest;
  const palette = { names: NAMES, verdict: VERDICT }[kind]?.[theme].split(" ");
  return names.map((_, index) => {
    if (index === rest) return swatch(GREY[theme], ROUND, true);
    if (!palette) return swatch(ramp(theme, categories < 2 ? 0.5 : index / (categories - 1)), ROUND);
    const slot = index - page * AT_ONCE;
    if (slot < 0 || slot >= AT_ONCE) return swatch(GREY[theme], ROUND, true);
    return swatch(palette[slot], slot < AT_ONCE / 2 ? ROUND : DIAMOND);
  });
}

/** How many pages of twelve a facet has. */
export function pagesOf({ kind, names, rest }) {
  return kind === "names" ? Math.max(1, Math.ceil((rest < 0 ? names.length : rest) / AT_ONCE)) : 1;
}

function ramp(theme, part) {
  const stops = RAMP[theme].split(" ").map(parse);
  const at = part * (stops.length - 1);
  const low = Math.min(Math.floor(at), stops.length - 2);
  const mixed = stops[low].map((value, i) => Math.round(value + (stops[low + 1][i] - value) * (at - low)));
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

function swatch(hex, mark, grey = false) {
  return { hex, rgb: parse(hex), mark, grey };
}

function parse(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}
