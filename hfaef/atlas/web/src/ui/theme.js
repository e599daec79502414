// Light or dark: as the system says until the person chooses, which is remembered in this browser.

const KEY = "hfaef-atlas-theme";
const system = window.matchMedia("(prefers-color-scheme: dark)");

export class Theme {
  #listeners = [];

  constructor() {
    this.chosen = stored();
    system.addEventListener("change", () => this.#apply());
    this.#apply();
  }

  get name() {
    return this.chosen ?? (system.matches ? "dark" : "light");
  }

  toggle() {
    this.chosen = this.name === "dark" ? "light" : "dark";
    try {
      localStorage.setItem(KEY, this.chosen);
    } catch {
      // Without storage the choice holds until the page is closed.
    }
    this.#apply();
  }

  onChange(listener) {
    this.#listeners.push(listener);
  }

  #apply() {
    document.documentElement.dataset.theme = this.name;
    for (const listener of this.#listeners) listener(this.name);
  }
}

function stored() {
  try {
    const theme = localStorage.getItem(KEY);
    return theme === "light" || theme === "dark" ? theme : null;
  } catch {
    return null;
  }
}
