// A preview as an image that arrives later, or the reason why there is none.

import { el } from "../ui/dom.js";

/**
 * @param {import("../data/previews.js").Previews} previews
 * @param {number} row
 * @param {string} alt
 * @param {boolean} [words] whether the reason for a missing preview is written out, or a title only
 */
export function picture(previews, row, alt, words = false) {
  const place = el("div", { class: "picture" });
  const failed = (error) => {
    place.classList.add("none");
    if (words) place.replaceChildren(el("p", { class: "hint", text: error.brief ?? `${error.message} ${error.hint ?? ""}` }));
    else place.title = error.message;
  };
  if (!previews.has(row)) {
    failed({ message: "The release has no preview of this patch." });
    return place;
  }
  const image = el("img", { alt, decoding: "async" });
  image.addEventListener("error", () => failed({ message: "The preview is damaged." }));
  previews.url(row).then((url) => {
    image.src = url;
    place.append(image);
  }, failed);
  return place;
}
