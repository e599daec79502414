#!/usr/bin/env python3
"""Show a card as a browser does: `scripts/render_card.py RELEASE OUT.png [--dark]`.

Markdown to HTML with GitHub-like styles, then a screenshot by headless chromium, which must be
installed. Fails on a picture that does not load.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt

STYLE = """
:root { color-scheme: %(scheme)s; }
body { background: %(ground)s; color: %(ink)s; margin: 0; font: 16px/1.5 "Liberation Sans", Arial, sans-serif; }
main { max-width: 860px; margin: 0 auto; padding: 32px; }
h1, h2 { border-bottom: 1px solid %(line)s; padding-bottom: .3em; }
h2 { margin-top: 28px; }
a { color: %(link)s; }
img { max-width: 100%%; }
table { border-collapse: collapse; display: block; max-width: 100%%; overflow: auto; font-size: 14px; }
th, td { border: 1px solid %(line)s; padding: 5px 11px; }
code { background: %(soft)s; border-radius: 6px; font: 85%% "DejaVu Sans Mono", monospace; padding: .2em .4em; }
pre { background: %(soft)s; border-radius: 6px; overflow: auto; padding: 14px; line-height: 1.4; }
pre code { background: none; padding: 0; }
blockquote { border-left: 4px solid %(line)s; color: %(faint)s; margin: 0; padding: 0 1em; }
"""
LIGHT = {
    "scheme": "light",
    "ground": "#ffffff",
    "ink": "#1f2328",
    "line": "#d1d9e0",
    "link": "#0969da",
    "soft": "#f6f8fa",
    "faint": "#59636e",
}
DARK = {
    "scheme": "dark",
    "ground": "#0d1117",
    "ink": "#f0f6fc",
    "line": "#3d444d",
    "link": "#4493f8",
    "soft": "#151b23",
    "faint": "#9198a1",
}
BROWSER = (
    "chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync --hide-scrollbars "
    "--allow-file-access-from-files --virtual-time-budget=4000"
)
PROBE = """<script>addEventListener("load", () => {
  const bad = [...document.images].filter(i => !i.naturalWidth).map(i => i.getAttribute("src"));
  document.title = JSON.stringify({height: document.documentElement.scrollHeight, bad});
});</script>"""


def page(text: str, colours: dict[str, str], base: Path) -> str:
    """HTML of a card without its YAML."""
    body = text.split("---\n", 2)[2]
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(body)
    head = f'<meta charset="utf-8"><base href="{base.as_uri()}/"><style>{STYLE % colours}</style>'
    return f"<!doctype html><html><head>{head}{PROBE}</head><body><main>{html}</main></body></html>"


def browse(source: Path, *options: str) -> str:
    """Run the browser with a profile of its own; gives what it prints."""
    with tempfile.TemporaryDirectory() as profile:
        command = [*BROWSER.split(), f"--user-data-dir={profile}", *options, source.as_uri()]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Render and look for what is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("release", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--open", action="store_true", help="open what is folded")
    arguments = parser.parse_args()
    folder = arguments.release.resolve()
    html = page((folder / "README.md").read_text(), DARK if arguments.dark else LIGHT, folder)
    if arguments.open:
        html = html.replace("<details>", "<details open>")
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "card.html"
        source.write_text(html)
        found = re.search(
            r'<title>\{"height":(\d+),"bad":(.*?)\}</title>', browse(source, "--dump-dom")
        )
        if found is None:
            sys.exit("the browser told nothing")
        shot = f"--screenshot={arguments.out.resolve()}"
        browse(source, shot, f"--window-size=960,{int(found[1]) + 40}")
    print(f"{arguments.out}: {found[1]} pixels high, broken pictures: {found[2]}")
    if found[2] != "[]":
        sys.exit(1)


if __name__ == "__main__":
    main()
