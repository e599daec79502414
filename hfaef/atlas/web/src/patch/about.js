// What the panel says while no patch is selected: the release, what was measured of it, and how
// the page is used.

import { el, whole } from "../ui/dom.js";

const HELP = [
  ["Click a point", "its preview, facts and neighbours"],
  ["Shift and drag", "keep what lies in a box"],
  ["Click in the legend", "keep one or more categories"],
  ["← → ↑ ↓", "walk through the neighbours"],
  ["Esc", "close the patch, then remove the boxes"],
];

export function about({ points, site, severalYears }) {
  const { meta, n } = points;
  const years = [...new Set(points.year)].sort();
  const of = severalYears ? `${years[0]}–${years[years.length - 1]}` : String(years[0]);
  const home = webAddress(site.home);
  const lines = [
    `${whole(n)} ${n === 1 ? "patch" : "patches"}${severalYears ? ", one for each year" : ""}, ${of}`,
    meta.labelNames.length ? `${whole(meta.labelNames.length)} labels` : null,
  ];
  return el(
    "section",
    { class: "about", "aria-label": "About this release" },
    el("h2", { text: site.name }),
    el("p", { text: lines.filter(Boolean).join(" · ") }),
    home ? el("p", {}, el("a", { href: home, target: "_blank", rel: "noopener noreferrer", text: "Data set page" })) : null,
    measuredTable(meta.schemes),
    el("h3", { text: "How to look around" }),
    el("dl", { class: "help" }, ...HELP.flatMap(([key, words]) => [el("dt", { text: key }), el("dd", { text: words })])),
    meta.attribution ? el("p", { class: "hint", text: meta.attribution }) : null,
  );
}

function measuredTable(schemes) {
  const rows = schemes.flatMap(({ name, measured }) => measured.map((one) => ({ scheme: name, ...one })));
  if (!rows.length) return null;
  const cells = ({ scheme, vectors, probe, year, metric, value, misclassified, test }) => [
    [scheme, vectors === "mean" ? null : vectors, probe, year].filter((part) => part !== undefined && part !== null).join(" · "),
    metric,
    typeof value === "number" ? value.toFixed(3) : "–",
    Number.isInteger(misclassified) ? `${whole(misclassified)} of ${whole(test ?? 0)} wrong` : "",
  ];
  return el(
    "div",
    { class: "measured" },
    el("h3", { text: "Measured on the test split" }),
    el("table", {}, el("tbody", {}, ...rows.map((row) => el("tr", {}, ...cells(row).map((cell) => el("td", { text: String(cell ?? "") })))))),
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
