from __future__ import annotations

from pathlib import Path

import pytest

from support.recipes import MINIMAL


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "hfaef.toml"
    path.write_text(MINIMAL)
    return path
