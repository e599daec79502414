"""What names of files were made of."""

from __future__ import annotations

from urllib.parse import unquote


def text_of_file_name(name: str) -> str:
    """The text that `file_name` or `folder_names` made a name of."""
    return "" if name == "%~" else unquote(name, errors="surrogatepass")
