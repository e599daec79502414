// What the page says while it loads and when something fails: in place of the panes, or as a line
// at the foot of the page that goes away.

import { el, iconButton } from "./dom.js";

const SHOWN_FOR = 12000; // ms

/** Fills `place` with a progress bar; returns how to move it. */
export function showProgress(place, words) {
  const bar = el("progress", { "aria-label": words });
  const text = el("p", { text: words });
  place.replaceChildren(el("div", { class: "notice", role: "status" }, text, bar));
  return (loaded, total) => {
    if (total > 0) {
      bar.max = total;
      bar.value = loaded;
    }
    text.textContent = `${words} ${megabytes(loaded)}${total > 0 ? ` of ${megabytes(total)}` : ""} MB`;
  };
}

/** Fills `place` with what is wrong and what to do. */
export function showFailure(place, error) {
  place.replaceChildren(
    el(
      "div",
      { class: "notice failure", role: "alert" },
      el("h2", { text: "The release cannot be shown" }),
      el("p", { text: error.message }),
      error.hint ? el("p", { class: "hint", text: error.hint }) : null,
    ),
  );
}

/**
 * Asks for a folder, which must be picked by hand where the page was opened from a file.
 * @param {(files: FileList) => void} picked
 * @param {Error | null} [wrong] with the folder picked before
 */
export function askForFolder(place, picked, wrong = null) {
  const input = el("input", { type: "file", webkitdirectory: true, multiple: true, id: "folder", onchange: () => picked(input.files) });
  place.replaceChildren(
    el(
      "div",
      { class: "notice" },
      el("h2", { text: "Open a release" }),
      el("p", { text: "This page was opened from a file, so the browser must be told which folder to read. Pick the folder of a release. Nothing is uploaded." }),
      wrong ? el("p", { class: "wrong", role: "alert", text: `${wrong.message} ${wrong.hint}` }) : null,
      el("label", { class: "button primary", for: "folder", text: "Pick a folder" }),
      input,
    ),
  );
  input.focus();
}

/** A bar above the panes that stays: what is wrong as long as the page is open. */
export function showBar(place, error) {
  place.hidden = false;
  place.textContent = `${error.message} ${error.hint}`;
}

/** A line at the foot of the page. */
export function say(words) {
  const place = document.getElementById("toasts");
  const line = el("div", { class: "toast" }, el("span", { text: words }), iconButton("close", "Dismiss", () => line.remove()));
  for (const old of place.children) if (old.firstChild.textContent === words) old.remove();
  place.append(line);
  setTimeout(() => line.remove(), SHOWN_FOR);
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(1);
}
