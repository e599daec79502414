"""The command that shows a release in the browser: here, as a static site, or as a Space."""

from __future__ import annotations

import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urljoin

import typer

from hfaef.cli.terminal.options import ReplaceCardOption, TargetArgument
from hfaef.cli.terminal.output import Report
from hfaef.cli.terminal.process import set_up_hub
from hfaef.core.net.text import clean_text
from hfaef.errors import HfaefError, InputError, command_line, count_of

if TYPE_CHECKING:
    from hfaef.atlas.content import Content
    from hfaef.atlas.server import Server
    from hfaef.hub.open import PublishedRelease


def atlas(
    target: TargetArgument,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open the page in your browser.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=65535, help="Of 127.0.0.1.", show_default="a free one"
        ),
    ] = None,
    layout: Annotated[
        Literal["pca", "tsne"],
        typer.Option(
            metavar="NAME",
            help="`pca`, or `tsne` as well, which takes minutes for 27,000 rows and is kept for the "
            "next time.",
        ),
    ] = "pca",
    site: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write a static site with page and data into a new folder, for any web server that "
            "answers ranges, instead of serving it.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="With --site: where the release's files lie already, which the site then lacks.",
        ),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME",
            help="Push the page of a published version to the Hub as a static Space, in one commit.",
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="With --space: make a new Space private.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --space: only say what would be sent.")
    ] = False,
) -> Report:
    """Look at a release in the browser, on a map and in embedding space.

    Click a patch for its preview and nearest neighbours; colour and filter by label, split, year
    and what a probe gets wrong. The page is served on this machine alone until Ctrl-C; data of a
    version on the Hub come from there.
    """
    _require_together(
        {
            "--site": site is not None,
            "--space": space is not None,
            "--data": data is not None,
            "--private": private,
            "--dry-run": dry_run,
            "--open": open_browser,
            "--port": port is not None,
        }
    )
    if site is not None:
        return _write_site(target, site, data, layout)
    if space is not None:
        return _push_space(target, space, layout, private=private, dry_run=dry_run)
    return _serve(target, layout, port or 0, open_browser=open_browser)


def _require_together(given: dict[str, bool]) -> None:
    """Raise InputError if options were given that say nothing beside the others."""
    if given["--site"] and given["--space"]:
        raise InputError("--site and --space are two ways to publish", "give one at a time")
    for option, needed in (
        ("--data", "--site"),
        ("--private", "--space"),
        ("--dry-run", "--space"),
    ):
        if given[option] and not given[needed]:
            raise InputError(f"{option} says nothing without {needed}", "leave it out")
    for way in ("--site", "--space"):
        for option in ("--open", "--port"):
            if given[way] and given[option]:
                raise InputError(
                    f"{option} says nothing with {way}, which serves nothing", "leave it out"
                )


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for what is made for the page; it goes at the end, also if the system ends us."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        # As shells start what runs behind them, it would not hear Ctrl-C.
        ends = [signal.SIGINT, signal.SIGTERM]
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
            ends.append(signal.SIGHUP)  # the terminal was closed; `nohup` has us ignore it
        for number in ends:
            before[number] = signal.signal(number, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="hfaef-atlas-") as folder:
            yield Path(folder)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _open(target: str) -> Path | PublishedRelease:
    """The folder, without links, or the published version that a text names."""
    from hfaef.atlas.site import require_no_site
    from hfaef.cli.views import open_target

    opened = open_target(target)
    if isinstance(opened, Path):
        require_no_site(opened)
    return opened


def _read(
    opened: Path | PublishedRelease, scratch: Path, layout: Literal["pca", "tsne"]
) -> Content:
    from hfaef.atlas.content import read_folder
    from hfaef.atlas.published import read_published

    if isinstance(opened, Path):
        return read_folder(opened, scratch, layout)
    return read_published(opened, scratch, layout)


def _serve(target: str, layout: Literal["pca", "tsne"], port: int, *, open_browser: bool) -> Report:
    from hfaef.atlas.server import Server
    from hfaef.release.format.paths import MANIFEST

    opened = _open(target)
    is_folder = isinstance(opened, Path)
    with ExitStack() as stack:
        scratch = stack.enter_context(_scratch())
        server = Server(
            lambda: _read(opened, scratch, layout),
            watched=opened / MANIFEST if isinstance(opened, Path) else None,
            port=port,
        )
        kept = stack.pop_all()
    content = server.shown.content
    publish = command_line("hfaef", "atlas", target, "--site", "FOLDER")
    name = clean_text(content.manifest.name)
    summary = {
        "url": server.url,
        "name": content.manifest.name,
        "version": content.version,
        "rows": content.manifest.rows,
        "layouts": list(content.layouts),
        "data": urljoin(server.url, server.shown.data),
        "notes": list(content.notes),
    }
    return Report(
        summary,
        lines=[
            f"{name}: {count_of(content.manifest.rows, 'row')}, at {server.url} until Ctrl-C",
            f"publish it: {publish}" + ("" if is_folder else ", or --space OWNER/NAME"),
        ],
        values=[server.url],
        notes=content.notes,
        then=lambda: _run(server, kept, open_browser=open_browser),
    )


def _run(server: Server, kept: ExitStack, *, open_browser: bool) -> None:
    """Serve until the user or the system ends it, and remove what was made for it."""
    with kept:
        server.run(open_browser=open_browser)


def _write_site(
    target: str, site: Path, data: str | None, layout: Literal["pca", "tsne"]
) -> Report:
    from hfaef.atlas.policy import require_address
    from hfaef.atlas.site import require_new_folder, write_site
    from hfaef.release.format.paths import require_outside

    address = require_address(data, "--data") if data is not None else None
    require_new_folder(site)
    opened = _open(target)
    if isinstance(opened, Path):
        require_outside(site, opened, "--site")
    with _scratch() as scratch:
        content = _read(opened, scratch, layout)
        if address is not None and content.made:
            raise InputError(
                f"{content.made[0]} is made for this page, and would not be at {address}",
                "leave --data out, or build the release again with this hfaef",
            )
        written = write_site(site, content, data=address)
    size = f"{count_of(written.files, 'file')}, {written.bytes / 1e6:,.1f} MB"
    lines = [f"{written.folder}: {size}", *([f"data:       {address}"] if address else [])]
    if content.address and address is None:
        lines.append(f"without a copy of the data: --data {content.address}")
    lines.append("serve it with a web server that answers ranges, such as nginx or Caddy")
    summary = {**written.summary(), "data": address or "data/", "notes": list(content.notes)}
    return Report(summary, lines, values=[str(written.folder)], notes=content.notes)


def _push_space(
    target: str, space: str, layout: Literal["pca", "tsne"], *, private: bool, dry_run: bool
) -> Report:
    from hfaef.atlas.space import published_version, push_space

    if layout != "pca":
        raise InputError(
            "--layout tsne is made here, and a Space reads the data set on the Hub",
            "leave one of --layout and --space out",
        )
    set_up_hub(bars=False)  # ours shows files; two would write over each other
    found = published_version(_open(target))
    pushed = push_space(space, found, private=private, dry_run=dry_run)
    counts = f"{len(pushed.adds):,} new or changed, {len(pushed.deletes):,} deleted"
    lines = [
        f"files:      {counts}; {pushed.bytes_to_send / 1e6:,.1f} MB to send at the most",
        *(f"deleted:    {path}" for path in pushed.deletes),
        f"{pushed.outcome}: {space} shows {found.repo.id}@{found.version}, {pushed.url}",
    ]
    card = found.release.manifest.recipe.get("card", {}).get("atlas")
    if card != space:
        lines.append(
            f'link to it: atlas = "{space}" under [card] in the recipe, then build and push'
        )
    return Report(pushed.summary(), lines, values=[pushed.url], notes=pushed.notes)


def show(
    target: TargetArgument,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="One PNG of all but the atlas; the release stays as it is.",
            show_default="figures.png, for a release on the Hub, if there is none",
        ),
    ] = None,
    replace_card: ReplaceCardOption = False,
) -> Report:
    """Draw a release: previews by label, map, balance. Adds them to it and its card.

    The atlas, too, where there is a browser.
    """
    from hfaef.cli.views import downloaded, open_target, own_file
    from hfaef.release.card.additions import write_figures
    from hfaef.release.card.figures import not_drawn

    opened = open_target(target)
    if not isinstance(opened, Path):
        out = own_file(out, "figures.png")
    folder = downloaded(opened, "data")
    notes = [*not_drawn()]

    def atlas() -> dict[str, bytes]:
        figures, said = draw_atlas(folder)
        notes.extend(said)
        return figures

    made = write_figures(folder, out, replace_card=replace_card, more=atlas)
    paths = [str(path) for path in made]
    return Report({"paths": paths}, lines=paths, values=paths, notes=notes)


_LEFT_OUT = "left out: the picture of the atlas"


def draw_atlas(folder: Path) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The picture of a release's atlas by its path; or none, and a note that says why.

    Args:
        folder: of the release.

    Raises:
        ReleaseError: if it holds none, or lacks what points are made of.
    """
    from hfaef.atlas.content import read_folder
    from hfaef.atlas.picture import find_browser, take_picture
    from hfaef.atlas.server import Server
    from hfaef.release.format.paths import ATLAS_PICTURE

    browser = find_browser()
    if browser is None:
        return {}, (f"{_LEFT_OUT}, which a browser draws; install Chromium or Chrome",)
    with (
        tempfile.TemporaryDirectory(prefix="hfaef-") as scratch,
        Server(partial(read_folder, folder, Path(scratch))) as server,
    ):
        serving = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        serving.start()
        try:
            return {ATLAS_PICTURE: take_picture(browser, server.url)}, ()
        except HfaefError as error:
            return {}, (f"{_LEFT_OUT}: {error}",)
        finally:
            server.shutdown()
