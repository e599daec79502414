"""What the atlas costs whoever looks at it: seconds, bytes and frames in a real browser.

    uv run --all-extras --group dev scripts/benchmarks/atlas.py [--rows 27000 200000] [--folder DIR]

Releases are made up (kept in DIR if that is given); their points are hfaef's own. The page comes
from a server on this machine that answers at once, to Chromium without a window that draws on the
CPU, with nothing in its cache. Seconds count from the moment the address is entered, or the mouse
button goes down, to the frame after the one in which all is there. Megabytes are of the release's
files; those of the page stand apart.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from atlas_world import write_world

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from playwright.sync_api import Page, sync_playwright

from hfaef.atlas.content import read_folder
from hfaef.atlas.picture import find_browser
from hfaef.atlas.site import write_site
from servers.files import FileServer
from support.browser import FLAGS

VIEW = {"width": 1400, "height": 860}
LATER = 5
"""Clicks after the first one, of which the median counts."""
DRAG = 2.0
"""Seconds of dragging in each pane."""

FIRST, SECOND = 27_000, 200_000

TARGETS: dict[int, dict[str, float]] = {
    FIRST: {
        "points drawn, s": 2.5,
        "points drawn, MB": 1.2,
        "first click, s": 1.5,
        "first click, MB": 7,
        "later clicks, s": 0.5,
        "neighbours alone, ms": 30,
    },
    SECOND: {"points drawn, s": 6, "first click, s": 2, "later clicks, s": 2},
}
PAGE_KB = 600
"""Of the whole page without data, gzip."""

_WATCH = """
window.pressed = 0;
addEventListener("pointerdown", () => { window.pressed = performance.now(); }, true);
window.frames_drawn = 0;
const count = () => { window.frames_drawn += 1; requestAnimationFrame(count); };
requestAnimationFrame(count);
window.after_frame = () => new Promise((done) =>
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))));
"""

_DRAWN = "async () => { await window.atlas.ready; return window.after_frame(); }"

_PLACE = """(wanted) => {
  for (let row = wanted; ; row++) {
    const { x, y } = window.atlas.where(row, "space");
    if (document.elementFromPoint(x, y)?.closest("#space canvas")) return { x, y };
  }
}"""
"""Of the first point from a row on that lies under no button."""

_ALL_THERE = """(before) => {
  if (window.atlas.selected() === before || !window.atlas.near().length) return false;
  const shown = [...document.querySelectorAll("img[src^='blob:']")];
  return shown.length > window.atlas.near().length && shown.every((one) => one.naturalWidth);
}"""
"""Of many points on a spot another one may be nearer to the click."""


@dataclass
class Watched:
    """A page, and the server that counts what it asks for."""

    page: Page
    server: FileServer

    def spent(self, work: Callable[[], float]) -> tuple[float, float, int]:
        """Seconds, megabytes and requests of data of something that gives milliseconds."""
        self.server.forget()
        milliseconds = work()
        asked = [request for request in self.server.requests if request.path.startswith("/data/")]
        sent = 0
        for request in asked:
            size = (self.server.folder / request.path[1:]).stat().st_size
            first, last = request.range or (0, size)
            sent += min(last + 1, size) - first
        return milliseconds / 1000, sent / 1e6, len(asked)

    def click(self, row: int) -> float:
        """Click on a point; milliseconds until its patch, neighbours and previews are there."""
        before = self.page.evaluate("window.atlas.selected()")
        place = self.page.evaluate(_PLACE, row)
        self.page.mouse.click(place["x"], place["y"])
        self.page.wait_for_function(_ALL_THERE, arg=before)
        done = self.page.evaluate("() => window.after_frame()")
        return float(done - self.page.evaluate("window.pressed"))

    def frames(self, pane: str) -> float:
        """Frames a second while the mouse drags a pane about."""
        box = self.page.locator(f"#{pane} .maplibregl-canvas").first.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        mouse = self.page.mouse
        mouse.move(x, y)
        mouse.down()
        before, began = self.page.evaluate("[window.frames_drawn, performance.now()]")
        step, end = 0, time.monotonic() + DRAG
        while time.monotonic() < end:
            step += 1
            mouse.move(x + 8 * (step % 20) - 80, y + 4 * (step % 15) - 30)
        after, ended = self.page.evaluate("[window.frames_drawn, performance.now()]")
        mouse.up()
        return float(1000 * (after - before) / (ended - began))


def measure(site: Path, rows: int) -> dict[str, float]:
    """All of a site's numbers, by what they are."""
    found: dict[str, float] = {}
    browser_path = find_browser()
    if browser_path is None:
        raise SystemExit("no browser is here: apt-get install --no-install-recommends chromium")
    with (
        FileServer(site) as server,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=browser_path, args=[*FLAGS]) as browser,
    ):
        page = browser.new_page(viewport=VIEW)
        page.set_default_timeout(120_000)
        page.add_init_script(_WATCH)
        watched = Watched(page, server)

        def first() -> float:
            page.goto(server.url + "/")
            page.wait_for_function("() => window.atlas !== undefined")
            return float(page.evaluate(_DRAWN))

        seconds, megabytes, requests = watched.spent(first)
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        found["first paint, s"] = paint / 1000
        found["points drawn, s"], found["points drawn, MB"] = seconds, megabytes
        found["points drawn, requests"] = requests
        wanted = [
            rows // 2,
            *(rows * (2 * number + 1) // (2 * LATER + 1) for number in range(LATER)),
        ]
        spent = [watched.spent(lambda row=row: watched.click(row)) for row in wanted]
        found["first click, s"], found["first click, MB"], _ = spent[0]
        found["later clicks, s"] = statistics.median(one[0] for one in spent[1:])
        found["later clicks, MB"] = statistics.median(one[1] for one in spent[1:])
        found["neighbours alone, ms"] = statistics.median(
            page.evaluate("performance.getEntriesByName('neighbours').map((one) => one.duration)")
        )
        for pane, name in (("map", "map"), ("space", "embedding")):
            found[f"frames a second, dragging the {name}"] = watched.frames(pane)
    return found


def page_size(site: Path) -> float:
    """Kilobytes of all of the page that a browser loads, gzip, without data."""
    names = [path for path in site.iterdir() if path.is_file() and path.name != "LICENSES.txt"]
    return sum(len(gzip.compress(path.read_bytes(), 9)) for path in names) / 1000


def table(columns: dict[int, dict[str, float]]) -> list[str]:
    """Markdown: a row a measurement, its target beside it."""
    lines = [
        "| what | " + " | ".join(f"{rows:,} rows | target" for rows in columns) + " |",
        "| --- |" + " ---: | ---: |" * len(columns),
    ]
    for name in next(iter(columns.values())):
        cells = []
        for rows, found in columns.items():
            target = TARGETS.get(rows, {}).get(name)
            cells += [_shown(found[name]), "" if target is None else f"{target:g}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _shown(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


def make_site(folder: Path, rows: int) -> Path:
    """A release of so many rows and its site, unless the folder holds them; gives the site."""
    release, site = folder / f"release-{rows}", folder / f"site-{rows}"
    if not site.exists():
        started = time.perf_counter()
        if not (release / "release.json").exists():
            release.mkdir(parents=True)
            write_world(release, rows)
        (folder / f"scratch-{rows}").mkdir(exist_ok=True)
        write_site(site, read_folder(release, folder / f"scratch-{rows}"))
        print(f"{rows:,} rows made in {time.perf_counter() - started:.1f} s", flush=True)
    return site


def main() -> None:
    """Print the table of releases of these sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[FIRST, SECOND])
    parser.add_argument("--folder", type=Path, help="keeps the releases, and uses those in it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        columns = {}
        for rows in arguments.rows:
            site = make_site(folder, rows)
            columns[rows] = measure(site, rows)
            size = page_size(site)
    print("\n".join(table(columns)))
    print(f"page without data, gzip: {size:.0f} KB (target under {PAGE_KB})")


if __name__ == "__main__":
    main()
