"""Where points lie beside each other: scikit-learn's components, on whole numbers."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from hfaef.errors import MissingPackageError
from hfaef.release.atlas.layout import pca_layout, tsne_layout

CODE = """
import hashlib, numpy as np
from hfaef.release.atlas.layout import pca_layout
means = np.random.default_rng(3).normal(0, 0.1, (5000, 64)).astype(np.float32)
means *= np.linspace(1, 3, 64, dtype=np.float32)
print(hashlib.sha256(pca_layout(means.clip(-1, 1)).tobytes()).hexdigest())
"""


def clusters(rows: int, seed: int = 0) -> np.ndarray:
    """Vectors (rows, 64) of unit length around a few centres."""
    random = np.random.default_rng(seed)
    made = random.normal(0, 1, (5, 64))[random.integers(5, size=rows)]
    made += random.normal(0, 0.5, made.shape)
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("rows", [3, 64, 20_000])  # more than a block of rows, too
def test_the_layout_is_scikit_learn_s_up_to_sign_and_rounding(rows: int) -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    means = clusters(rows)
    found = pca_layout(means)
    expected = decomposition.PCA(2, svd_solver="full").fit_transform(means.astype(np.float64))
    assert found.shape == (rows, 2)
    assert found.dtype == np.float32
    for one, other in zip(found.T, expected.T, strict=True):
        sign = np.sign(one @ other)
        assert np.abs(one - sign * other).max() < 2e-3
    assert np.abs(found.mean(axis=0)).max() < 1e-3


def test_positions_are_multiples_of_a_fraction_and_no_zero_is_negative() -> None:
    found = pca_layout(clusters(500))
    assert np.array_equal(found, np.rint(found * 8192) / 8192)
    assert not np.signbit(found[found == 0]).any()


def test_the_order_of_rows_does_not_change_where_they_lie() -> None:
    means = clusters(3000)
    order = np.random.default_rng(1).permutation(3000)
    assert np.array_equal(pca_layout(means[order]), pca_layout(means)[order])


def test_the_number_of_threads_does_not_change_a_byte() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", CODE],
            capture_output=True,
            text=True,
            check=True,
            env={"OPENBLAS_NUM_THREADS": threads, "OPENBLAS_CORETYPE": kernel, "PATH": ""},
        ).stdout
        for threads, kernel in (("1", "Haswell"), ("2", "Haswell"), ("2", "Nehalem"))
    }
    assert len(found) == 1


@pytest.mark.parametrize("rows", [1, 5])
def test_rows_that_do_not_differ_lie_in_one_place(rows: int) -> None:
    same = np.repeat(clusters(1), rows, axis=0)
    assert np.array_equal(pca_layout(same), np.zeros((rows, 2)))


def test_two_rows_lie_on_a_line() -> None:
    means = clusters(2)
    found = pca_layout(means)
    assert np.array_equal(found[:, 1], [0, 0])
    distance = np.linalg.norm(means[0] - means[1])
    assert np.abs(found[0, 0] - found[1, 0]) == pytest.approx(distance, abs=1e-3)


def test_t_sne_parts_clusters_and_repeats() -> None:
    pytest.importorskip("openTSNE")
    means = clusters(120)
    found = tsne_layout(means)
    assert found.shape == (120, 2)
    assert np.isfinite(found).all()
    assert np.array_equal(found, tsne_layout(means))
    cosines = means @ means.T
    np.fill_diagonal(cosines, -1)
    distances = np.linalg.norm(found[:, None] - found[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    near = distances.argsort(axis=1)[:, :10]
    assert np.mean(np.take_along_axis(cosines, near, axis=1)) > 0.5


@pytest.mark.parametrize("rows", [1, 4])
def test_t_sne_of_few_rows_is_their_layout(rows: int) -> None:
    pytest.importorskip("openTSNE")
    assert np.array_equal(tsne_layout(clusters(rows)), pca_layout(clusters(rows)))


def test_without_open_tsne_the_command_that_installs_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    with pytest.raises(MissingPackageError, match="openTSNE"):
        tsne_layout(clusters(20))
