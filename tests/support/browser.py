"""A page of the atlas in a real browser: clicks on real pixels, and all that it asked and said.

Browsers live as long as a file of tests: while one does, `asyncio.run` works in no test beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import pytest

from hfaef.atlas.picture import find_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Response

FLAGS = (
    "--no-sandbox",  # containers forbid what it needs
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)

LACKING = (
    "no browser is here: `apt-get install --no-install-recommends chromium`, or any Chromium or "
    "Chrome on the PATH"
)

_OF_THE_DRIVER = ("GL Driver Message", "GPU stall", "software WebGL", "SwiftShader")
"""What Chromium warns of because nothing here is drawn by a GPU."""

_WATCH = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI}`));
"""

SIZE = {"width": 1000, "height": 640}
"""Of a page: the fewer pixels the less is drawn by the CPU."""

Pane = Literal["map", "space"]


@dataclass
class Visit:
    """A page, and what it asked and said since it was opened."""

    page: Page
    asked: list[str] = field(default_factory=list)
    """Addresses."""
    answers: list[Response] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """Errors and warnings of the console, errors nobody caught, and dialogs."""

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("response", lambda answer: self.answers.append(answer))  # noqa: PLW0108 - it is marked
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.said.append(f"uncaught: {error}"))
        self.page.on("dialog", lambda dialog: (self.said.append("a dialog"), dialog.dismiss()))

    def _hear(self, message: ConsoleMessage) -> None:
        loud = message.type in {"error", "warning"}
        if loud and not any(words in message.text for words in _OF_THE_DRIVER):
            self.said.append(f"{message.type}: {message.text}")

    def open(self, url: str) -> Visit:
        """Go there, and wait until the points are drawn."""
        self.page.goto(url)
        return self.ready()

    def ready(self) -> Visit:
        """Wait until the points are drawn."""
        self.page.wait_for_function("() => window.atlas?.ready.then(() => true)")
        return self

    def call(self, name: str, *arguments: object) -> Any:
        """What a function of `window.atlas` gives."""
        return self.page.evaluate(f"(args) => window.atlas.{name}(...args)", list(arguments))

    def where(self, index: int, pane: Pane) -> tuple[float, float]:
        """CSS pixels of a patch's point."""
        place = self.call("where", index, pane)
        return place["x"], place["y"]

    def click(self, index: int, pane: Pane = "space") -> None:
        """Click on the pixels of a point, and wait for what is shown of its patch."""
        self.page.mouse.click(*self.where(index, pane))
        self.page.wait_for_function("(i) => window.atlas.selected() === i", arg=index)

    def near(self, count: int) -> list[dict[str, Any]]:
        """The nearest neighbours of the selected patch, when so many are there."""
        self.page.wait_for_function("(n) => window.atlas.near().length === n", arg=count)
        return list(self.call("near"))

    def wait_for_shown(self, count: int) -> None:
        """Wait until so many patches are shown."""
        self.page.wait_for_function("(n) => window.atlas.shown() === n", arg=count)

    def text(self) -> str:
        """All words of the page."""
        return self.page.inner_text("body")

    def pictures(self, count: int) -> list[int]:
        """Natural widths of the previews that are shown, once so many are loaded or broken."""
        script = """(count) => {
          const all = [...document.querySelectorAll("img[src^='blob:']")];
          const done = all.length >= count && all.every((one) => one.complete);
          return done ? all.map((one) => one.naturalWidth) : null;
        }"""
        return list(self.page.wait_for_function(script, arg=count).json_value())

    @property
    def violations(self) -> list[str]:
        """Of the policy for what the page may load."""
        return list(self.page.evaluate("window.violations"))

    def data(self) -> list[Response]:
        """Answers that are files of the release, without those that lead elsewhere."""
        kinds = (".parquet", ".tar")
        return [
            answer
            for answer in self.answers
            if urlsplit(answer.url).path.endswith(kinds) and answer.status // 100 != 3
        ]

    def origins(self) -> set[str]:
        """Of all that was asked for, what the page made itself left out."""
        parts = [urlsplit(url) for url in self.asked if not url.startswith(("blob:", "data:"))]
        return {f"{part.scheme}://{part.netloc}" for part in parts}

    def is_clean(self, *origins: str) -> None:
        """Asserts that it asked these origins alone, for ranges of data, and complained of nothing."""
        assert self.said == []
        assert self.violations == []
        assert self.origins() <= set(origins)
        assert {answer.status for answer in self.data()} <= {206}


Visits = Callable[..., Visit]
"""Opens a page: the arguments are those of a context of playwright's."""


@contextmanager
def started_browser() -> Iterator[Browser]:
    """A browser without a window; without one the test is skipped, but fails where `CI` is set."""
    path = find_browser()
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(LACKING)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visits_of(browser: Browser) -> Iterator[Visits]:
    """Opens pages, each with a profile of its own, and closes them."""
    contexts = []

    def visit(**options: Any) -> Visit:
        options = {"viewport": SIZE, "reduced_motion": "reduce", **options}
        context = browser.new_context(**options)
        context.add_init_script(_WATCH)
        contexts.append(context)
        return Visit(context.new_page())

    try:
        yield visit
    finally:
        for context in contexts:
            context.close()
