"""What patches, labels, splits and files may be called; the one place that judges names from outside.

An id is made of letters, digits, ``_`` and ``-``. Any other character of a name is written as
``_0x`` and its Unicode number in hexadecimal digits and ``_``: ``plot.1`` becomes
``plot_0x2E_1``. An underscore that would read as the beginning of that is written so itself, so
two names never have one id, and an id tells the name.

What a release says is not believed either: `require_id` and `require_path` stand wherever a row, a
sample or a manifest is read, so that no name leads out of a folder. A label is any text, and
`folder_names` makes folders of labels.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import count

LONGEST = 200
"""Characters of an id or a label."""

REPO_ID = re.compile(r"(?!.*(?:--|\.\.))(?:[A-Za-z0-9][\w.-]{0,95})/(?:[A-Za-z0-9][\w.-]{0,95})")
"""``owner/name``; the Hub has the last word."""

_ID = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST}}}")
_PATH = re.compile(r"[A-Za-z0-9_=-]+(/[A-Za-z0-9_=-]+)*\.[a-z0-9]+")
_PATTERN = re.compile(r"[A-Za-z0-9_=*-]+(/[A-Za-z0-9_=*-]+)*\.[a-z0-9]+")
_LONGEST_PATH = 1000
_LONGEST_FILE = 200
"""Bytes of the name of a file or folder that is made of a text: disks take 255."""
_UNSAFE = re.compile(
    r'[\x00-\x1f\x7f-\x9f"%*/:<>?\\|\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]'
)
"""Characters that lead elsewhere, cannot be in a file's name on some disks, or hide what it is."""
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
"""https://learn.microsoft.com/windows/win32/fileio/naming-a-file"""

_SPECIAL = re.compile(r"[*?]|\[[^/]*\]|::|\$\{?[A-Za-z_]\w*|\.py$", re.ASCII)
"""What `datasets` takes for more than a name in the path of a folder: patterns and chains of addresses
of fsspec, variables of the environment, and a script. It lets none of them be escaped there.
https://filesystem-spec.readthedocs.io/en/latest/features.html"""

_ESCAPED = re.compile(r"[^A-Za-z0-9_-]|_(?=0x[0-9A-F]{2,6}(?:_|[^A-Za-z0-9_-]))")
_CODE = re.compile("_0x(10[0-9A-F]{4}|[0-9A-F]{2,5})_")
BYTES = re.compile(r"""b(['"]).*\1""", re.DOTALL)
"""What Python writes of bytes, where somebody forgot to decode them."""
_JOINERS = "\u200c\u200d"
"""Format characters that words of some languages need."""


def clean(text: str) -> str:
    """A name without spaces round it, in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", text.strip())


def fault_of(name: str) -> str | None:
    """Why a cleaned text can be no name of a patch, label or split; None if it can."""
    if not name:
        return "is empty"
    if len(name) > LONGEST:
        return f"has over {LONGEST} characters"
    if name.isascii() and name.isprintable():
        return None
    for letter in name:
        kind = unicodedata.category(letter)
        if kind == "Cs":
            return "is not UTF-8"
        if kind in {"Cc", "Zl", "Zp"} or (kind == "Cf" and letter not in _JOINERS):
            return f"holds the control character U+{ord(letter):04X}"
    return None


def printable(text: str) -> str:
    """A text of any origin, in characters that every output takes."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)


def encode_id(name: str) -> str:
    """The id of a patch with this name; plain names are their own ids."""
    return _ESCAPED.sub(lambda found: f"_0x{ord(found[0]):02X}_", name)


def decode_id(identity: str) -> str:
    """The name whose id this is; texts that are no id of a name stay what they are."""
    return _CODE.sub(lambda found: chr(int(found[1], 16)), identity)


def same_word(name: str) -> str:
    """What two names have in common that differ only in spaces, case or Unicode form."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def alike(names: Iterable[str]) -> list[list[str]]:
    """Groups of different names that are the `same_word`."""
    groups = defaultdict(list)
    for name in dict.fromkeys(names):
        groups[same_word(name)].append(name)
    return [group for group in groups.values() if len(group) > 1]


def require_id(value: object, what: str = "patch id") -> str:
    """The id of a patch, or another name of that form, if it is one.

    Args:
        value: of any type.
        what: it is, for the message.

    Raises:
        ValueError: if it is not of ASCII letters, digits, ``_`` and ``-``, or too long.
    """
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ValueError(
            f"the {what} {_shown(value)} is not of 1 to {LONGEST} letters, digits, _ and -"
        )
    return value


def require_repo_id(text: str) -> str:
    """A name of a repository on the Hub, as it is.

    Raises:
        ValueError: if it is none.
    """
    if not REPO_ID.fullmatch(text):
        raise ValueError("no OWNER/NAME of a repository on the Hub")
    return text


def require_path(value: str, *, pattern: bool = False) -> str:
    """The path of a file in a release, from its folder on, if it stays in there.

    Args:
        value: with ``/``; each part of ASCII letters, digits, ``_``, ``=`` and ``-``, and the last
            one with an extension.
        pattern: whether ``*`` may stand for a part of a name.

    Raises:
        ValueError: if it does not, or is too long.
    """
    if not (_PATTERN if pattern else _PATH).fullmatch(value) or len(value) > _LONGEST_PATH:
        raise ValueError(f"the path {_shown(value)} is none of a release's files")
    return value


def special_in(path: str) -> str | None:
    """What `datasets` takes for more than a name in the absolute path of a folder; mostly nothing.

    ``load_dataset`` finds no file in such a folder, or others' files.
    """
    found = _SPECIAL.search(path)
    return found[0] if found else None


def file_name(text: str) -> str:
    """The name of a file or folder that any disk takes, as readable as can be.

    What would lead elsewhere is written as in a URL, ``%2F`` for ``/``, and so are a dot at the
    beginning, a dot or space at the end, and the first letter of a device's name (``CON``).
    Decoded as in a URL it is the text again, unless that was over 200 bytes long: then its end is
    ``%~`` and a part of its hash.
    """
    name = _UNSAFE.sub(lambda found: _percent(found[0]), text)
    if not name:
        return "%~"
    if name[0] in ". " or _DEVICE.match(name):
        name = _percent(name[0]) + name[1:]
    if name[-1] in ". ":
        name = name[:-1] + _percent(name[-1])
    return _short(name, text)


def folder_names(labels: Sequence[str]) -> tuple[str, ...]:
    """A folder for each label, in their order: `file_name`, told apart by disks of any kind.

    Of labels that a disk may take for one (`Forest` and `forest`, or two Unicode forms), the later
    ones have as many letters written as in a URL as it takes: `%66orest`.
    """
    names: list[str] = []
    taken: set[str] = set()
    for label in labels:
        name = next(one for one in _candidates(label) if _on_disk(one) not in taken)
        taken.add(_on_disk(name))
        names.append(name)
    return tuple(names)


def _candidates(label: str) -> Iterator[str]:
    """Names for the folder of a label, the most readable first."""
    yield file_name(label)
    for letters in range(1, len(label) + 1):
        rest = label[letters:]
        yield _short(
            "".join(map(_percent, label[:letters])) + (file_name(rest) if rest else ""), label
        )
    # A manifest that lists a label twice.
    yield from (f"{file_name(label)}%~{number}" for number in count(2))


def _on_disk(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _percent(letter: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letter.encode(errors="surrogatepass"))


def _short(name: str, text: str) -> str:
    """A name, or the beginning of it and a hash of the text if no disk takes all of it."""
    if len(name.encode()) <= _LONGEST_FILE:
        return name
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
    start = name.encode()[: _LONGEST_FILE - 18].decode(errors="ignore")
    return f"{re.sub('%[0-9A-F]?$', '', start)}%~{digest}"


def _shown(value: object) -> str:
    return ascii(value)[:80]


def loadable_problem(path: str) -> str:
    """Why `datasets` could not load a release in the folder of this path; empty if it could."""
    found = special_in(path)
    if not found:
        return ""
    return (
        f"the path {path} holds {found!r}, which `datasets` takes for more than a name, so no "
        "release could be loaded from there"
    )
