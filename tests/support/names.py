"""What ids and names of files were made of."""

from __future__ import annotations

import re
from urllib.parse import unquote


def decode_id(identity: str) -> str:
    """The name that `encode_id` made an id of."""
    return re.sub(r"_0x([0-9A-F]{2,6})_", lambda found: chr(int(found[1], 16)), identity)


def text_of_file_name(name: str) -> str:
    """The text that `file_name` or `folder_names` made a name of."""
    return "" if name == "%~" else unquote(name, errors="surrogatepass")
