"""A picture of the atlas, drawn by Chromium or Chrome, without a window, where one is installed.

It is asked by its own protocol (https://chromedevtools.github.io/devtools-protocol/), and so the
picture is taken when the page says that it is drawn, and none is taken of a page that is not.
"""

from __future__ import annotations

import asyncio
import base64
import io
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from hfaef.errors import HfaefError
from hfaef.release.plots.style import png

if TYPE_CHECKING:
    from aiohttp import ClientWebSocketResponse

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
"""Of the programs, by which they are found on the PATH."""

_ELSEWHERE = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)

SIZE = (1200, 720)
"""Pixels."""

SECONDS = 60.0
"""In which a page is drawn, or is not."""

_FLAGS = (
    "--headless",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--disable-extensions",
    "--hide-scrollbars",
    "--use-gl=angle",
    "--use-angle=swiftshader",  # the same picture with and without a GPU
    "--enable-unsafe-swiftshader",
)

_DRAWN = "window.atlas ? window.atlas.ready.then(() => true) : false"

_STILL = 1.5
"""Seconds in which what comes after the points, the land, is loaded and drawn."""


def find_browser() -> Path | None:
    """Chromium or Chrome on this machine, if there is one."""
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    return next((Path(path) for path in _ELSEWHERE if Path(path).is_file()), None)


def take_picture(browser: Path, url: str) -> bytes:
    """PNG of a page of the atlas when its points are drawn.

    Args:
        browser: as `find_browser` gives it.
        url: of the page.

    Raises:
        HfaefError: if the browser does not start, or the page is not drawn within `SECONDS`.
    """
    try:
        return asyncio.run(asyncio.wait_for(_take(browser, url), SECONDS))
    except (OSError, RuntimeError, TimeoutError) as error:
        said = str(error) or f"nothing was drawn in {SECONDS:.0f} seconds"
        raise HfaefError(f"{browser} draws no picture of the atlas: {said}") from error


async def _take(browser: Path, url: str) -> bytes:
    from aiohttp import ClientError, ClientSession

    async with _running(browser) as address, ClientSession() as session:
        try:
            async with session.ws_connect(address, max_msg_size=0) as socket:
                return await _picture(_Devtools(socket), url)
        except (ClientError, TypeError) as error:  # TypeError: the connection has ended
            raise RuntimeError(f"it ended: {error}") from error


@asynccontextmanager
async def _running(browser: Path) -> AsyncIterator[str]:
    """A browser with a profile of its own; gives the address at which it is asked."""
    # Its sandbox refuses to work for root, as whom containers run.
    root = getattr(os, "geteuid", lambda: 1)() == 0
    with tempfile.TemporaryDirectory(prefix="hfaef-", ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            browser,
            *_FLAGS,
            *(["--no-sandbox"] if root else []),
            f"--user-data-dir={profile}",
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield await _address(Path(profile), process)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _address(profile: Path, process: asyncio.subprocess.Process) -> str:
    """Where a browser is asked: it writes a file with its port and path."""
    file = profile / "DevToolsActivePort"
    while process.returncode is None:
        with suppress(FileNotFoundError, ValueError):
            port, path = file.read_text().split()
            return f"ws://127.0.0.1:{port}{path}"
        await asyncio.sleep(0.05)
    raise RuntimeError(f"it ended at once, with {process.returncode}")


@dataclass
class _Devtools:
    """Asks a browser, one thing after the other; its own messages are passed over."""

    socket: ClientWebSocketResponse
    numbers: Iterator[int] = field(default_factory=partial(count, 1))

    async def ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """The result of a method.

        Raises:
            RuntimeError: if the browser refuses.
        """
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        await self.socket.send_json(message | ({"sessionId": session} if session else {}))
        while (answer := await self.socket.receive_json()).get("id") != number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error'].get('message')}")
        return dict(answer["result"])


async def _is_drawn(ask: Callable[..., Awaitable[dict[str, Any]]]) -> bool:
    """Whether the page has drawn its points, once its script is there."""
    found = await ask("Runtime.evaluate", expression=_DRAWN, awaitPromise=True, returnByValue=True)
    if "exceptionDetails" in found:
        raise RuntimeError("the page has an error")
    return found["result"].get("value") is True


async def _picture(devtools: _Devtools, url: str) -> bytes:
    target = await devtools.ask("Target.createTarget", url="about:blank")
    attached = await devtools.ask(
        "Target.attachToTarget", targetId=target["targetId"], flatten=True
    )
    ask = partial(devtools.ask, session=attached["sessionId"])
    width, height = SIZE
    screen: dict[str, Any] = {
        "width": width,
        "height": height,
        "deviceScaleFactor": 1,
        "mobile": False,
    }
    await ask("Emulation.setDeviceMetricsOverride", **screen)
    light = {"name": "prefers-color-scheme", "value": "light"}
    await ask("Emulation.setEmulatedMedia", features=[light])
    await ask("Page.navigate", url=url)
    while not await _is_drawn(ask):  # noqa: ASYNC110 - the browser tells of no such event
        await asyncio.sleep(0.1)
    await asyncio.sleep(_STILL)
    shot = await ask("Page.captureScreenshot", format="png")
    with Image.open(io.BytesIO(base64.b64decode(shot["data"]))) as picture:
        return png(picture.convert("RGB"))
