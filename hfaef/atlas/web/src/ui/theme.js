// Light or dark: as the link says, else as the person chose before in this browser, else as the
// system says. What a link says is not remembered.

const KEY = "hfaef-atlas-theme";
const system = window.matchMedia("(prefers-color-scheme: dark)");

export class Theme {
  #listeners = [];

  constructor() {
    this.chosen = linked() ?? stored();
    system.addEventListener("change", () => this.#apply());
    window.addEventListener("hashchange", () => {
      this.chosen = linked() ?? this.chosen;
      this.#apply();
    });
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
    if (document.documentElement.dataset.theme === this.name) return;
    document.documentElement.dataset.theme = this.name;
    for (const listener of this.#listeners) listener(this.name);
  }
}

function linked() {
  return known(new URLSearchParams(location.hash.replace(/^#/, "")).get("theme"));
}

function stored() {
  try {
    return known(localStorage.getItem(KEY));
  } catch {
    return null;
  }
}

function known(theme) {
  return theme === "light" || theme === "dark" ? theme : null;
}
