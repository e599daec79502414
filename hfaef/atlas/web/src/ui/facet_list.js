// The list of one facet: its categories with their colours and counts. Of the facet that gives the
// colours it is the legend; of each it is a filter by click.

import { AT_ONCE, pagesOf } from "../model/colours.js";
import { el, iconButton, markOf, whole } from "./dom.js";

const SHORT = 14; // more categories than this get a scrolling list

/**
 * @param {object} given facet; counts: of each category; swatches: of each, null where the facet
 *   does not colour; picks: names kept; page; toggle(name); turn(page); clear()
 */
export function facetList({ facet, counts, swatches, picks, page, toggle, turn, clear }) {
  const most = Math.max(1, ...counts);
  const paged = swatches && pagesOf(facet) > 1;
  const onPage = (index) => !paged || index === facet.rest || Math.floor(index / AT_ONCE) === page;
  const rows = facet.names.map((name, index) => {
    if (!onPage(index)) return null;
    const pressed = picks.includes(name);
    const bar = el("span", { class: "bar" });
    bar.style.width = `${(100 * counts[index]) / most}%`;
    const swatch = swatches?.[index];
    return el(
      "li",
      {},
      el(
        "button",
        {
          type: "button",
          class: `category${counts[index] ? "" : " empty"}`,
          "aria-pressed": pressed,
          "data-focus": `${facet.key} ${name}`,
          title: `${name}: ${whole(counts[index])}`,
          onclick: () => toggle(name),
        },
        bar,
        swatch ? markOf(swatch) : null,
        el("span", { class: "name", text: name }),
        el("span", { class: "count", text: whole(counts[index]) }),
      ),
    );
  });
  const list = el("ul", { class: `categories${picks.length ? " filtered" : ""}${!paged && rows.length > SHORT ? " long" : ""}`, role: "list" }, ...rows.filter(Boolean));
  return el(
    "div",
    { class: "facet" },
    paged ? pager(facet, page, turn) : null,
    list,
    picks.length ? el("button", { type: "button", class: "link", onclick: clear, text: `Show all (${picks.length} picked)` }) : null,
    paged ? el("p", { class: "hint", text: "The labels of the other pages are grey." }) : null,
  );
}

function pager(facet, page, turn) {
  const pages = pagesOf(facet);
  const many = facet.rest < 0 ? facet.names.length : facet.rest;
  const [from, to] = [page * AT_ONCE + 1, Math.min((page + 1) * AT_ONCE, many)];
  return el(
    "div",
    { class: "pager" },
    iconButton("left", "Colour the twelve before", () => turn((page + pages - 1) % pages)),
    el("span", { text: `${from}–${to} of ${many}` }),
    iconButton("right", "Colour the next twelve", () => turn((page + 1) % pages)),
  );
}
