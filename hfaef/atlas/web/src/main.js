// Starts the page: finds the release (atlas.json beside the page, or a folder picked by hand),
// reads its points and hands them to the atlas. What fails is said in words in place of the panes.

import { Atlas } from "./atlas.js";
import { AtlasError, RangesError } from "./data/errors.js";
import { PATH, readPoints } from "./data/points.js";
import { FolderSource, HttpSource } from "./data/source.js";
import { watchKeys } from "./keys.js";
import { askForFolder, say, showBar, showFailure, showProgress } from "./ui/notice.js";
import { Theme } from "./ui/theme.js";

const element = (id) => document.getElementById(id);
const places = {
  main: element("main"),
  cover: element("cover"),
  controls: element("controls"),
  inspector: element("inspector"),
  map: element("map"),
  space: element("space"),
  count: element("count"),
};
const theme = new Theme();
const MOST_WORDS = 1000; // characters of what a server says
const narrow = window.matchMedia("(max-width: 760px)");

/** What a server says in plain text of why it cannot answer; "" where it says nothing. */
async function wordsOf(response) {
  if (!response.headers.get("Content-Type")?.startsWith("text/plain")) return "";
  return (await response.text().catch(() => "")).trim().slice(0, MOST_WORDS);
}

async function readSite() {
  const response = await fetch("atlas.json").catch(() => null);
  const words = response && !response.ok && response.status !== 404 ? await wordsOf(response) : "";
  if (words) throw new AtlasError(words, "Mend it, then load the page again.");
  if (!response?.ok) {
    throw new AtlasError("The file atlas.json is not beside this page.", "Make the site again with `hfaef atlas --site FOLDER`.");
  }
  const site = await response.json().catch(() => null);
  if (typeof site?.data !== "string") throw new AtlasError("The file atlas.json names no data.", "Make the site again with `hfaef atlas --site FOLDER`.");
  return site;
}

function named(site, name) {
  const layouts = Array.isArray(site.layouts) ? site.layouts.filter((one) => typeof one === "string") : [];
  const out = { name: String(site.name ?? name ?? "Release"), version: site.version ?? null, home: site.home ?? null, layouts };
  document.title = `${out.name} · atlas`;
  element("name").textContent = out.name;
  element("version").textContent = out.version ? `v${String(out.version).replace(/^v/, "")}` : "";
  return out;
}

async function open(source, site) {
  const points = await readPoints(source, showProgress(places.cover, "Reading the points…"));
  element("attribution").textContent = points.meta.attribution;
  const atlas = new Atlas({ points, source, site, theme, places });
  watchKeys(atlas);
  document.body.classList.add("started");
  await atlas.start();
  places.cover.hidden = true;
  if (location.protocol !== "file:") atlas.panes.land.refine().catch(() => {}); // else the coarse land stays
  return atlas;
}

/** The folder that the person picks; asks again until it is one of a release. */
async function pickedFolder(wrong = null) {
  const files = await new Promise((resolve) => askForFolder(places.cover, resolve, wrong));
  try {
    return new FolderSource(files);
  } catch (error) {
    return pickedFolder(error);
  }
}

async function start() {
  if (location.protocol === "file:") {
    const source = await pickedFolder();
    const site = JSON.parse((await source.site?.text().catch(() => null)) ?? "{}");
    const layouts = source.files.has("atlas/tsne.parquet") ? ["tsne"] : [];
    return open(source, named({ ...site, layouts }, source.name));
  }
  const site = await readSite();
  const base = new URL(site.data.replace(/\/*$/, "/"), document.baseURI).href;
  const source = new HttpSource(base, () => showBar(element("bar"), new RangesError(PATH)));
  return open(source, named(site));
}

function fail(error) {
  if (!(error instanceof AtlasError)) console.error(error);
  places.cover.hidden = false;
  showFailure(places.cover, error instanceof AtlasError ? error : new AtlasError(`The page failed: ${error.message}`));
}

/** For tests, and for people at the console. */
function expose(ready) {
  let atlas = null;
  const api = {
    ready: ready.then((one) => {
      atlas = one;
    }),
    where(row, pane) {
      const { x, y } = atlas.panes[pane].project(row);
      const { left, top } = places[pane].getBoundingClientRect();
      return { x: x + left, y: y + top };
    },
    near: () => (atlas.near ?? []).map(({ row, cosine }) => ({ id: atlas.points.id[row], year: atlas.points.year[row], cosine })),
    shown: () => atlas.shown,
    selected: () => (atlas.state.selected < 0 ? null : atlas.state.selected),
    counts() {
      const facet = atlas.facets[atlas.coloured];
      return facet ? Object.fromEntries([...atlas.countsOf(atlas.coloured)].map((count, index) => [facet.names[index], count])) : {};
    },
  };
  api.ready.catch(() => {});
  window.atlas = api;
}

element("theme").addEventListener("click", () => theme.toggle());
element("copy").addEventListener("click", () => {
  const copied = navigator.clipboard?.writeText(location.href) ?? Promise.reject(new Error("no clipboard"));
  copied.then(() => say("The link to this view is copied."), () => say("Copy the address of this page: it holds the view."));
});
const fold = () => places.main.toggleAttribute("data-narrow", narrow.matches);
narrow.addEventListener("change", fold);
fold();
const ready = start();
expose(ready);
ready.catch(fail);
