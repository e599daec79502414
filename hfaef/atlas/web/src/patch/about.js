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
  const labels = meta.labelNames.length;
  const lines = [patchesText(points), labels ? `${whole(labels)} ${labels === 1 ? "label" : "labels"}` : null];
  return el(
    "section",
    { class: "about", "aria-label": "About this release" },
    el("h2", { text: site.name }),
    el("p", { text: lines.filter(Boolean).join(" · ") }),
    ...lacks(points).map((words) => el("p", { class: "hint", text: words })),
    home ? el("p", {}, el("a", { href: home, target: "_blank", rel: "noopener noreferrer", text: "Data set page" })) : null,
    measuredTable(meta),
    el("h3", { text: "How to look around" }),
    el("dl", { class: "help" }, ...HELP.flatMap(([key, words]) => [el("dt", { text: key }), el("dd", { text: words })])),
  );
}

/** How many patches there are, and of which years: each of every year, or each of its own. */
function patchesText({ patches, year, n }) {
  const text = yearsText(year);
  const many = `${whole(patches)} ${patches === 1 ? "patch" : "patches"}`;
  const years = new Set(year).size;
  if (years > 1 && patches * years === n) return `${many}, ${patches === 1 ? "" : "each "}in ${text}`;
  return patches === n ? `${many}, ${text}` : `${many}, ${text}, ${whole(n)} points`;
}

/** What a map does not show by itself: patches that are not there, embeddings of other years. */
function lacks({ meta, year, observed }) {
  const other = observed.reduce((sum, one, row) => sum + (one !== year[row]), 0);
  const have = other === 1 ? "1 patch has" : `${whole(other)} patches have`;
  return [
    meta.missing ? `${whole(meta.missing)} more ${meta.missing === 1 ? "patch is" : "patches are"} missing from the release; its card says why.` : null,
    other ? `${have} the embedding of another year than their own, as the release has none of that.` : null,
  ].filter(Boolean);
}

function measuredTable({ schemes, target }) {
  const rows = schemes.flatMap(({ name, folds, measured }) => measured.map((one) => ({ ...one, scheme: name, folds })));
  if (!rows.length) return null;
  const probes = [...new Set(rows.map(({ probe, vectors }) => probeText(probe, vectors)))];
  const all = rows.every(({ folds }) => folds);
  const none = !rows.some(({ folds }) => folds);
  const title = none ? "Measured on the test split" : all ? "Measured over folds" : "Measured on the test split or over folds";
  const cells = ({ scheme, folds, vectors, probe, year, metric, value, misclassified, test }) => {
    const wrong = `${folds ? "of all folds " : ""}${whole(misclassified ?? 0)} of ${whole(test ?? 0)}`;
    const words = target === "classes" ? `${wrong} sets of labels differ` : `${wrong} wrong`;
    return [
      [
        [scheme, year].filter((part) => part !== undefined && part !== null).join(" · "),
        probes.length > 1 ? probeText(probe, vectors) : null,
      ],
      [`${scoreText(metric, value)}${folds ? ", mean of the folds" : ""}`, Number.isInteger(misclassified) ? words : null],
    ];
  };
  const cell = ([first, second]) => el("td", {}, el("div", { text: first }), second && el("div", { class: "hint", text: second }));
  return el(
    "div",
    { class: "measured" },
    el("h3", { text: title }),
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
