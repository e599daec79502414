"""Labels of any script are in the figures, as they are or by number, and never as boxes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hfaef.release.card import figures
from hfaef.release.card.render import render_card
from hfaef.release.format.manifest import read_manifest
from hfaef.release.plots.lettering import font_for, is_drawable, labels_as_drawn

LABELS = ("Öde See", "森林", r"$\frac$", "Лес", "العربية", "100 $ & 5 $_x")


def test_a_label_that_no_font_here_has_stands_as_its_number() -> None:
    drawn = ["Öde See", "label 1", r"$\frac$", "Лес", "label 4", "100 $ & 5 $_x"]
    assert labels_as_drawn(LABELS) == drawn


@given(st.text(max_size=20))
def test_what_is_drawn_has_ink_and_no_box(text: str) -> None:
    if not is_drawable(text):
        return
    font = font_for(text)
    box = bytes(font.getmask("\uffff"))
    for letter in text:
        assert letter == " " or bytes(font.getmask(letter)) != box


def test_plain_labels_are_drawn_with_the_font_that_they_always_had() -> None:
    assert font_for("Forest").getname() != font_for("Wäldchen").getname()
    assert font_for("Wäldchen").getname()[0] == "DejaVu Sans"


def test_figures_take_labels_of_any_script_and_any_sign(demo_release) -> None:
    pytest.importorskip("matplotlib", reason="the extra `eval` is not installed")
    manifest = read_manifest(demo_release)
    counts = dict(zip(LABELS, manifest.rows_by_label.values(), strict=True))
    strange = manifest.model_copy(update={"label_names": LABELS, "rows_by_label": counts})
    found = figures.draw(demo_release, strange)
    plain = figures.draw(demo_release, manifest)
    for path in (figures.LABELS, figures.BALANCE):
        with Image.open(io.BytesIO(found[path])) as one, Image.open(io.BytesIO(plain[path])) as two:
            assert one.size == two.size or path == figures.BALANCE
            assert not np.array_equal(np.asarray(one.convert("L")), np.asarray(two.convert("L")))
    card = render_card(strange)
    assert "write as a number: 1 is 森林, 4 is العربية.*" in card
    assert "write as a number" not in render_card(manifest)
