// What the panel says while no patch is selected: the release, what was measured of it, and how
// the page is used.

import { probeText, scoreText, yearsText } from "../model/words.js";
import { el, whole } from "../ui/dom.js";

const HELP = [
  ["Click a point", "its preview, facts and neighbours"],
  ["Shift and drag", "keep what lies in a box"],
  ["Click in the legend", "keep one or more categories"],
  ["← → ↑ ↓", "walk through the neighbours"],
  ["Esc", "close the patch, then remove the boxes"],
];

export function about({ points, site }) {
  const { meta } = points;
  const home = webAddress(site.home);
  const lines = [
    patchesText(points),
    meta.labelNames.length ? `${whole(meta.labelNames.length)} labels` : null,
  ];
  return el(
    "section",
    { class: "about", "aria-label": "About this release" },
    el("h2", { text: site.name }),
    el("p", { text: lines.filter(Boolean).join(" · ") }),
    home ? el("p", {}, el("a", { href: home, target: "_blank", rel: "noopener noreferrer", text: "Data set page" })) : null,
    measuredTable(meta),
    el("h3", { text: "How to look around" }),
    el("dl", { class: "help" }, ...HELP.flatMap(([key, words]) => [el("dt", { text: key }), el("dd", { text: words })])),
    meta.attribution ? el("p", { class: "hint", text: meta.attribution }) : null,
  );
}

/** How many patches there are, and of which years: each of every year, or each of its own. */
function patchesText({ id, year, n }) {
  const patches = new Set(id).size;
  const text = yearsText(year);
  const many = `${whole(patches)} ${patches === 1 ? "patch" : "patches"}`;
  const years = new Set(year).size;
  if (years > 1 && patches * years === n) return `${many}, ${patches === 1 ? "" : "each "}in ${text}`;
  return patches === n ? `${many}, ${text}` : `${many}, ${text}, ${whole(n)} points`;
}

function measuredTable({ schemes, target }) {
  const rows = schemes.flatMap(({ name, measured }) => measured.map((one) => ({ scheme: name, ...one })));
  if (!rows.length) return null;
  const probes = [...new Set(rows.map(({ probe, vectors }) => probeText(probe, vectors)))];
  const cells = ({ scheme, vectors, probe, year, metric, value, misclassified, test }) => {
    const wrong = `${whole(misclassified ?? 0)} of ${whole(test ?? 0)}`;
    const words = target === "classes" ? `${wrong} sets of labels differ` : `${wrong} wrong`;
    return [
      [
        [scheme, year].filter((part) => part !== undefined && part !== null).join(" · "),
        probes.length > 1 ? probeText(probe, vectors) : null,
      ],
      [scoreText(metric, value), Number.isInteger(misclassified) ? words : null],
    ];
  };
  const cell = ([first, second]) => el("td", {}, el("div", { text: first }), second && el("div", { class: "hint", text: second }));
  return el(
    "div",
    { class: "measured" },
    el("h3", { text: "Measured on the test split" }),
    el("table", {}, el("tbody", {}, ...rows.map((row) => el("tr", {}, ...cells(row).map(cell))))),
    probes.length === 1 ? el("p", { class: "hint", text: `${probes[0]}.` }) : null,
    target === "classes" ? el("p", { class: "hint", text: "A set differs where any of its labels is missing or too many." }) : null,
  );
}

/** The address if it leads to the web, else null. */
function webAddress(address) {
  try {
    const url = new URL(address);
    return ["http:", "https:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
