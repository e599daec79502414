"""Pictures of a release: small, the same each time, readable on any page."""

import io

import numpy as np
import pytest
from PIL import Image

from hfaef.errors import ReleaseError
from hfaef.release.card import figures
from hfaef.release.card.additions import write_figures
from hfaef.release.card.figures import (
    COLOURS,
    GROUND,
    INK,
    draw,
    read_previews,
)
from hfaef.release.check import check_folder
from hfaef.release.format.manifest import read_manifest
from hfaef.release.format.paths import BALANCE, LABELS, MAP
from hfaef.release.format.rows import read_rows


def luminance(colour):
    """https://www.w3.org/TR/WCAG21/#dfn-relative-luminance"""
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


def contrast(first, second):
    bright, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_figures_are_small_pngs_and_the_same_each_time(demo_release):
    pytest.importorskip("matplotlib", reason="the extra `eval` is not installed")
    manifest = read_manifest(demo_release)
    found = draw(demo_release, manifest)
    assert list(found) == [LABELS, MAP, BALANCE]
    assert sum(map(len, found.values())) < 500_000
    assert draw(demo_release, manifest) == found
    for content in found.values():
        with Image.open(io.BytesIO(content)) as image:
            assert image.format == "PNG"
            assert image.width == figures.WIDTH
            # Opaque: a transparent ground would hide dark ink on a dark page.
            assert "transparency" not in image.info
            assert set(image.info) <= {"dpi"}
            assert image.convert("RGB").getpixel((1, 1)) == tuple(bytes.fromhex(GROUND[1:]))


def test_settings_of_the_user_do_not_change_figures(demo_release):
    mpl = pytest.importorskip("matplotlib", reason="the extra `eval` is not installed")
    locations = figures.read_locations(demo_release, read_manifest(demo_release))
    plain = figures.draw_map(locations)
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red"}):
        assert figures.draw_map(locations) == plain


@pytest.mark.parametrize("schemes", [1, 2, 3])
@pytest.mark.parametrize(
    "box", [(-10, 33, 35, 58), (5, 9, 40, 60), (8, 8.01, 50, 50.01), (-170, 170, -5, 5)]
)
def test_nothing_of_a_map_is_cut_off(box, schemes):
    pytest.importorskip("matplotlib", reason="the extra `eval` is not installed")
    rng = np.random.default_rng(0)
    west, east, south, north = box
    locations = figures.PatchLocations(
        lon=rng.uniform(west, east, 90),
        lat=rng.uniform(south, north, 90),
        labels=np.zeros(90, np.int64),
        splits={str(n): np.tile(["train", "validation", "test"], 30) for n in range(schemes)},
    )
    with Image.open(io.BytesIO(figures.draw_map(locations))) as image:
        pixels = np.asarray(image.convert("RGB"))
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge == tuple(bytes.fromhex(GROUND[1:]))).all()


@pytest.mark.parametrize("split", list(COLOURS))
def test_patches_of_every_split_are_seen_on_the_map(split):
    pytest.importorskip("matplotlib", reason="the extra `eval` is not installed")
    lon, lat = np.meshgrid(np.linspace(11, 12, 6), np.linspace(48, 48.5, 5))
    places = figures.PatchLocations(
        lon.ravel(), lat.ravel(), [[0]] * 30, {"one": np.full(30, split)}
    )
    with Image.open(io.BytesIO(figures.draw_map(places))) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    colour, ground = (np.array([*bytes.fromhex(c[1:])]) for c in (COLOURS[split], GROUND))
    drawn = 0.8 * colour + 0.2 * ground
    assert (np.abs(pixels - drawn).max(axis=-1) < 12).sum() > 30 * 5


def test_without_matplotlib_there_are_previews(demo_release, monkeypatch):
    monkeypatch.setattr(figures, "find_spec", lambda _: None)
    assert list(draw(demo_release, read_manifest(demo_release))) == [LABELS]


def test_a_plain_build_has_its_previews(demo_release):
    manifest = read_manifest(demo_release)
    assert LABELS in {file.path for file in manifest.files}
    assert (demo_release / LABELS).read_bytes() == figures.draw_labels(demo_release, manifest)


def test_previews_are_of_their_label(demo_release):
    import hfaef

    labels = {}
    for split in ("train", "validation", "test"):
        labels |= {row["id"]: row["label"] for row in hfaef.load(demo_release, split, "pooled")}
    manifest = read_manifest(demo_release)
    found = read_previews(demo_release, manifest, 3)
    assert set(found) == set(range(len(manifest.label_names)))
    assert all(len(previews) == 3 for previews in found.values())
    rows = read_rows(demo_release, manifest, columns=["id", "preview"])
    label_of = {row["preview"]["bytes"]: labels[row["id"]] for row in rows}
    for number, previews in found.items():
        assert {label_of[preview] for preview in previews} == {number}


def test_ink_and_splits_can_be_told_from_the_ground():
    assert contrast(INK, GROUND) > 12
    for colour in COLOURS.values():
        assert contrast(colour, GROUND) > 2


@pytest.mark.parametrize(
    "blind",
    [
        # Machado et al. 2009, full protanopia, deuteranopia and tritanopia, on linear RGB.
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ],
    ],
)
def test_splits_differ_for_the_colour_blind(blind):
    linear = np.array(
        [[(int(c[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5)] for c in COLOURS.values()]
    )
    seen = np.clip(linear @ np.array(blind).T, 0, 1) ** (1 / 2.2)
    for first in range(3):
        for second in range(first):
            assert np.linalg.norm(seen[first] - seen[second]) > 0.35


def test_show_adds_figures_and_stays_fit_to_publish(own_release):
    write_figures(own_release)
    assert check_folder(own_release) == []
    before = (own_release / "release.json").read_bytes()
    write_figures(own_release)
    assert (own_release / "release.json").read_bytes() == before


def test_show_elsewhere_leaves_the_release_alone(own_release, tmp_path):
    before = (own_release / "release.json").read_bytes()
    (path,) = write_figures(own_release, tmp_path / "all.png")
    with Image.open(path) as image:
        assert image.width == figures.WIDTH
    assert (own_release / "release.json").read_bytes() == before


def test_no_release_no_picture(tmp_path):
    with pytest.raises(ReleaseError):
        write_figures(tmp_path)


def test_long_names_are_cut():
    assert figures._shortened("short", 10, len) == "short"
    assert figures._shortened("a very long name", 8, len) == "a very \N{HORIZONTAL ELLIPSIS}"


def test_small_and_large_previews_become_tiles():
    for size in ((8, 4), (64, 64), (128, 100), (1, 1)):
        tile = figures._tile(Image.new("RGB", size))
        assert max(tile.size) == 64
