"""What the site's pages say of recipes and commands, made of hfaef itself, so that it stays true.

MkDocs calls `on_files` and `on_page_markdown` (https://www.mkdocs.org/dev-guide/plugins/#events).
A line ``<!-- made of the recipe -->`` of a page gives way to every key of a recipe, and
``<!-- made of the commands -->`` to every command. Links to what lies beside ``docs/`` hold on
GitHub as they are; here pictures come along, and other files are links to the repository.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.main import get_command

from hfaef.cli.main import app
from hfaef.recipe.model import Recipe

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PICTURES = ("dataset_card/demo.png",)

MARKER = "<!-- made of the {} -->"

SECTIONS = (
    ("Recipe", "At the top of the file"),
    ("Geotiffs", '`[patches]`, `kind = "geotiffs"`'),
    ("Table", '`[patches]`, `kind = "table"`'),
    ("TorchGeo", '`[patches]`, `kind = "torchgeo"`'),
    ("MakeSplits", "`patches.make_splits`"),
    ("RandomSplits", "`patches.make_splits.random`"),
    ("SpatialSplits", "`patches.make_splits.spatial`"),
    ("Cog", '`[source]`, `kind = "cog"`'),
    ("EarthEngine", '`[source]`, `kind = "earthengine"`'),
    ("Pack", "`[pack]`"),
    ("Card", "`[card]`"),
    ("Demo", "`[demo]`"),
)
"""Models of the recipe in the order of its file, and how their sections are written."""


def recipe_reference() -> str:
    """Every key of a recipe: its type, its default and what it means, a table a section.

    Raises:
        LookupError: if a section is not listed, or no longer there.
    """
    schema = Recipe.model_json_schema()
    shapes = {"Recipe": schema, **schema["$defs"]}
    if shapes.keys() != dict(SECTIONS).keys():
        raise LookupError(f"sections differ: {shapes.keys() ^ dict(SECTIONS).keys()}")
    return "\n".join(line for name, title in SECTIONS for line in _section(title, shapes[name]))


def _section(title: str, shape: dict[str, Any]) -> Iterator[str]:
    yield f"## {title}\n\n{_prose(shape['description'])}\n"
    yield "| key | type | default | what it means |\n| --- | --- | --- | --- |"
    needed = shape.get("required", [])
    for key, about in shape["properties"].items():
        if key == "kind":
            continue
        default = "needed" if key in needed else _default(about)
        yield f"| `{key}` | {_type(about)} | {default} | {_prose(about.get('description', ''))} |"
    yield ""


def _default(about: dict[str, Any]) -> str:
    default = about.get("default")
    if default in (None, [], {}, "") or isinstance(default, dict):
        return ""
    return f"`{json.dumps(default)}`"


def _type(about: dict[str, Any], plural: str = "") -> str:
    """The type of a value as TOML writes it, from its JSON Schema."""
    kinds = [one for one in about.get("anyOf", ()) if one.get("type") != "null"]
    values = about.get("enum", [about["const"]] if "const" in about else [])
    kind = about.get("type")
    if kinds:
        told = " or ".join(dict.fromkeys(_type(one) for one in kinds))
    elif values:
        told = " or ".join(f"`{json.dumps(one)}`" for one in values)
    elif kind == "array":
        told = f"list of {_type(about.get('items') or about['prefixItems'][0], 's')}"
    elif kind in ("integer", "number"):
        told = f"{'whole ' * (kind == 'integer')}number{plural}{_bounds(about)}"
    elif kind == "boolean":
        told = "`true` or `false`"
    elif kind == "string":
        told = ("path" if about.get("format") == "path" else "text") + plural
    else:
        told = "section"
    return told


def _bounds(about: dict[str, Any]) -> str:
    least, most = about.get("minimum"), about.get("maximum")
    if least is None and most is None:
        return ""
    return f", {least or 0:g} to {most:g}" if most is not None else f", from {least:g}"


def _prose(text: str) -> str:
    """A docstring as a cell of Markdown: one line, addresses as links."""
    line = " ".join(text.replace("``", "`").split()).replace("|", "\\|")
    return re.sub(r"(?<![(<])https?://\S+[^\s.,;)]", r"<\g<0>>", line)


def command_reference() -> str:
    """Every command with its arguments and options, and once those that all have."""
    group = get_command(app)
    commands = dict(_commands("hfaef", group))
    shared = set.intersection(*({_names(one) for one in c.params} for c in commands.values()))
    lines = [line for name, one in commands.items() for line in _command(name, one, shared)]
    first = next(iter(commands.values()))
    lines += ["## Options of all commands\n", *_options(first, lambda name: name in shared)]
    lines += ["## Options of `hfaef` itself\n", *_options(group, lambda _: True)]
    return "\n".join(lines)


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    for word, one in getattr(command, "commands", {}).items():
        if hasattr(one, "commands"):
            yield from _commands(f"{name} {word}", one)
        elif not one.hidden:
            yield f"{name} {word}", one


def _command(name: str, command: Any, shared: set[str]) -> Iterator[str]:
    yield f"## `{name}`\n\n{_paragraphs(command.help)}\n"
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    words = [f"{one.metavar}" if one.required else f"[{one.metavar}]" for one in arguments]
    yield f"```text\n{' '.join([name, *words, '[OPTIONS]'])}\n```\n"
    if arguments:
        yield "| argument | |\n| --- | --- |"
        yield from (f"| `{one.metavar}` | {_prose(one.help or '')} |" for one in arguments)
        yield ""
    yield from _options(command, lambda names: names not in shared)


def _options(command: Any, wanted: Any) -> Iterator[str]:
    options = [
        one
        for one in command.params
        if one.param_type_name == "option" and wanted(_names(one)) and not one.hidden
    ]
    if options:
        yield "| option | |\n| --- | --- |"
        for one in options:
            takes = "" if one.is_flag or one.count or not one.metavar else f" {one.metavar}"
            default = one.show_default if isinstance(one.show_default, str) else one.default
            told = "" if default in (None, False, 0, []) or callable(default) else f"`{default}`"
            told = " Needed." if one.required else f" By default {told}." if told else ""
            yield f"| `{_names(one)}{takes}` | {_prose(one.help or '')}{told} |"
        yield ""


def _names(parameter: Any) -> str:
    return "`, `".join(parameter.opts)


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Pictures that lie beside ``docs/``."""
    from mkdocs.structure.files import File

    for picture in PICTURES:
        made = File.generated(config, Path(picture).name, abs_src_path=str(ROOT / picture))
        files.append(made)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs passes them by name
    """A page with what is made, and with links that hold on the site."""
    for what, make in (("recipe", recipe_reference), ("commands", command_reference)):
        marker = MARKER.format(what)
        if marker in markdown:
            markdown = markdown.replace(marker, make())
    folder = posixpath.dirname(f"docs/{page.file.src_uri}")

    def outside(found: re.Match[str]) -> str:
        path, hash_, anchor = found[1].partition("#")
        path = posixpath.normpath(posixpath.join(folder, path))
        if path.startswith("docs/"):
            return found[0]
        if not (ROOT / path).exists():
            raise FileNotFoundError(f"{page.file.src_uri} links to {path}, which is not there")
        if path in PICTURES:
            up = posixpath.relpath("docs", folder)
            return f"]({posixpath.normpath(posixpath.join(up, Path(path).name))})"
        return f"]({config.repo_url.rstrip('/')}/blob/main/{path}{hash_}{anchor})"

    return re.sub(r"\]\((\.\./[^)\s]+)\)", outside, markdown)
