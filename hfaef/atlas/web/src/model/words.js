// Words for what a release holds: numbers rounded as one reads them, years, and scores.

const DIGITS = 3; // that a number is shown with, where its whole part has no more

const PERCENT = new Map([
  ["accuracy", "accuracy"],
  ["balanced_accuracy", "balanced accuracy"],
  ["top2_accuracy", "top-2 accuracy"],
]);
const METRICS = new Map([
  ["macro_f1", "macro F1"],
  ["micro_f1", "micro F1"],
  ["micro_ap", "micro average precision"],
  ["macro_ap", "macro average precision"],
  ["calibration_error", "calibration error"],
  ["r2", "R²"],
  ["rmse", "RMSE"],
  ["mae", "MAE"],
]);
const PROBES = new Map([["linear", "Linear probe"], ["knn", "kNN probe"]]);

/** 0.786, 12.3, 1,235: three digits, but never less than the whole part. */
export function roundedText(value) {
  const size = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)));
  const maximumFractionDigits = Math.max(0, Math.min(12, DIGITS - 1 - Math.min(size, DIGITS - 1)));
  return value.toLocaleString("en", { maximumFractionDigits }).replace(/^-/, "−");
}

/** "2018", "2018 and 2024", "2018–2024" where no year between is left out. */
export function yearsText(years) {
  const list = [...new Set(years)].sort((a, b) => a - b);
  const [first, last] = [list[0], list[list.length - 1]];
  if (list.length > 2 && last - first === list.length - 1) return `${first}–${last}`;
  return list.length < 2 ? String(first) : `${list.slice(0, -1).join(", ")} and ${last}`;
}

/** "2018", "2017 (embedding of 2018)" where the release has none of that year. */
export function yearText({ year, observed }, row) {
  return observed[row] === year[row] ? String(year[row]) : `${year[row]} (embedding of ${observed[row]})`;
}

/** "89.6 % accuracy", "micro average precision 0.978". */
export function scoreText(metric, value) {
  const known = typeof value === "number" && Number.isFinite(value);
  if (PERCENT.has(metric)) return `${known ? fixed(100 * value, 1) : "–"} % ${PERCENT.get(metric)}`;
  return `${METRICS.get(metric) ?? metric} ${known ? fixed(value, 3).replace(/^-/, "−") : "–"}`;
}

/** As the card has it: what lies halfway goes to the even digit. */
function fixed(value, digits) {
  const scaled = value * 10 ** digits;
  return Math.abs(scaled % 1) === 0.5 ? ((2 * Math.round(scaled / 2)) / 10 ** digits).toFixed(digits) : value.toFixed(digits);
}

/** "Linear probe on mean vectors". */
export function probeText(probe, vectors) {
  return `${PROBES.get(probe) ?? `Probe ${probe}`} on ${vectors} vectors`;
}

/** What is to be predicted, as a title. */
export function targetTitle({ target }) {
  return { class: "Label", classes: "Labels", number: "Number" }[target];
}
