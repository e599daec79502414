"""AEF from Earth Engine: on each patch's own grid, quantized on the server, one by one or in batches."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hfaef.core.aef import is_coarse, on_lattice
from hfaef.core.grid import Grid, utm_zone
from hfaef.core.quantize import BAND_NAMES, BANDS
from hfaef.errors import BatchRefused, PermanentError, RecipeError, SourceError, TooBig
from hfaef.recipe.model import EarthEngine as Section
from hfaef.sources.answers import WrongAnswers
from hfaef.sources.base import BatchKind, Pixels
from hfaef.sources.earthengine.batch import ask_images, classify_refusal, read_points
from hfaef.sources.earthengine.errors import classify_error
from hfaef.sources.earthengine.expression import (
    DIMENSION,
    VARIABLE,
    band_images,
    batch_names,
    codes_image,
)
from hfaef.sources.earthengine.limits import (
    BYTES_A_CODE,
    MAX_SIDE,
    POINTS,
    REQUESTS_A_READ,
    batch_kind,
    fits,
    max_pixels,
    pixel_grid,
)
from hfaef.sources.earthengine.npy import codes_of
from hfaef.sources.earthengine.session import READ_TIMEOUT, Session, connect

_LOG = logging.getLogger(__name__)


class EarthEngine:
    """Reads from Earth Engine; nothing is retried here.

    Pixels that cannot be AEF's are a fault that may pass, the first times that a patch has them.

    No more requests than the recipe's `max_requests` are under way at once, and no more than its
    `requests_per_minute` start in a minute, however many threads read. Half as many reads more may
    be under way: they unpack and stage what has come while others are asked for.

    Args:
        section: the recipe's.
        session: an open connection; closed with the source.
    """

    def __init__(self, section: Section, session: Session) -> None:
        self.max_requests = section.max_requests
        self.max_reads = section.max_requests + section.max_requests // 2
        self._unpacking = threading.Lock()
        """NumPy lets go of the interpreter with each step: threads that all unpack at once wait for
        each other so often that it takes them twice as long."""
        self._section = section
        self._session = session
        self._wrong = WrongAnswers()

    @property
    def years(self) -> tuple[int, ...]:
        """Years that the collection has images of."""
        return tuple(self._session.years)

    def require(self, years: Sequence[int]) -> None:
        """Check that the collection has these years.

        Raises:
            RecipeError: naming the years that it has.
        """
        missing = [str(year) for year in years if year not in self._session.years]
        if missing:
            raise RecipeError(
                f"years: {self._section.collection} has no {', '.join(missing)}",
                f"choose among {', '.join(map(str, self.years))}",
            )

    def read(self, grid: Grid, year: int) -> Pixels:
        """The codes on this grid, all -128 if there is no data.

        Raises:
            RecipeError: if the collection has no such year.
            TooBig: if the grid is more than one request may hold, or than the server computes.
            Throttled, Transient: if the same request may succeed later.
            CredentialsError: if the server accepts no request.
            PermanentError: if it refuses this grid.
        """
        self.require([year])
        reader = self._section.reader
        if not fits(grid, reader):
            raise TooBig(
                f"{grid.height:,} x {grid.width:,} pixels; one request of the reader {reader} "
                f"holds {max_pixels(reader):,}, and {MAX_SIDE:,} a side"
            )
        _LOG.debug("%s %s: %s", self._section.collection, year, grid)
        requests = REQUESTS_A_READ[reader]
        try:
            if reader == "xee":
                codes = _read_with_xee(self._section.collection, grid, year)
                return self._pixels(codes, grid, year, requests)
            body = _ask_pixels(self._section.collection, grid, year)
            with self._unpacking:
                (codes,) = codes_of(body, grid)
                return self._pixels(codes, grid, year, requests)
        except Exception as error:
            classified = classify_error(error)
            if classified is error:
                raise
            raise classified from error

    def batch_kind(self, grid: Grid, year: int) -> BatchKind | None:
        """What a patch has in common with those that can be asked for in the same request."""
        return batch_kind(grid, year, self._section)

    def read_batch(self, grids: Sequence[Grid], year: int) -> list[Pixels | SourceError]:
        """The codes on grids of one `batch_kind`, with one request.

        Raises as `read`, and BatchRefused if the server cannot.
        """
        self.require([year])
        kind = self.batch_kind(grids[0], year)
        if kind is None:
            raise BatchRefused("these patches are read one by one")
        _LOG.debug("%s %s: %s patches", self._section.collection, year, len(grids))
        try:
            if kind.way == POINTS:
                found, requests = read_points(self._section.collection, grids, year)
                return self._each(found, grids, year, requests)
            body = ask_images(self._section.collection, grids, year)
            with self._unpacking:
                found = codes_of(body, grids[0], batch_names(len(grids)))
                return self._each(found, grids, year, 1)
        except Exception as error:
            raise classify_refusal(classify_error(error)) from error

    def _each(
        self, found: Sequence[npt.NDArray[np.int8]], grids: Sequence[Grid], year: int, requests: int
    ) -> list[Pixels | SourceError]:
        """The pixels of patches that came together, or what is wrong with them in their place."""
        results: list[Pixels | SourceError] = []
        for number, (grid, codes) in enumerate(zip(grids, found, strict=True)):
            try:
                results.append(self._pixels(codes, grid, year, 0 if number else requests))
            except SourceError as error:
                results.append(error)
        return results

    def _pixels(self, codes: npt.NDArray[np.int8], grid: Grid, year: int, requests: int) -> Pixels:
        try:
            return Pixels(
                codes=codes,
                origins=(self._origin(year),),
                resampled=utm_zone(grid.crs) is None or not on_lattice(grid),
                requests=requests,
                received=codes.nbytes * BYTES_A_CODE[self._section.reader],
                means=is_coarse(grid),  # its pyramids are not said to keep the length
            )
        except ValueError as error:
            message = f"Earth Engine gave pixels that are not AEF's: {error}"
            raise self._wrong.record(grid, year, message) from error

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _origin(self, year: int) -> str:
        versions = self._session.years[year]
        parts = [f"{self._section.collection} {year}"]
        if versions.dataset_version:
            parts.append(f"dataset {versions.dataset_version}")
        if versions.model_version:
            parts.append(f"model {versions.model_version}")
        return ", ".join(parts)


def open(  # noqa: A001 - called as `earthengine.open`
    section: Section, years: Sequence[int] = (), *, timeout: float = READ_TIMEOUT
) -> EarthEngine:
    """Connect to Earth Engine and read the collection's years, with four requests.

    Args:
        section: the recipe's.
        years: must be in the collection.
        timeout: seconds without a byte after which a request fails.

    Raises:
        RecipeError: without a project, or if the collection or a year does not exist.
        CredentialsError: if there are none, or neither they nor the project are accepted.
        SourceError: if the endpoint does not answer as Earth Engine does.
    """
    session = connect(section, timeout=timeout)
    source = EarthEngine(section, session)
    try:
        source.require(years)
    except BaseException:
        source.close()
        raise
    return source


def _ask_pixels(collection: str, grid: Grid, year: int) -> bytes:
    """One request; the response has one field a band."""
    import ee

    body: bytes = ee.data.computePixels(
        {
            "expression": codes_image(collection, [grid], year),
            "fileFormat": "NPY",
            "grid": pixel_grid(grid),
        }
    )
    return body


def _read_with_xee(collection: str, grid: Grid, year: int) -> npt.NDArray[np.int8]:
    """Two requests: Xee asks what the images are, then for all of their pixels at once.

    Before Python 3.12 its first requests go one after the other in all threads: Xee keeps the
    response in a `functools.cached_property`, for which all its stores share one lock.
    """
    import xarray

    if not grid.crs.startswith("EPSG:"):
        raise PermanentError("Xee takes EPSG codes only", "set `source.reader` to pixels")
    data = xarray.open_dataset(
        band_images(codes_image(collection, [grid], year)),
        engine="ee",
        crs=grid.crs,
        crs_transform=grid.transform,
        shape_2d=(grid.width, grid.height),
        primary_dim_name=DIMENSION,
        primary_dim_property=DIMENSION,
        io_chunks={DIMENSION: BANDS, "x": grid.width, "y": grid.height},
        getitem_kwargs={"max_retries": 0},
    )
    with data:
        names = tuple(data[DIMENSION].values.tolist())
        values = data[VARIABLE].transpose(DIMENSION, "y", "x").values
    if names != BAND_NAMES:
        raise ValueError(f"Xee gives the bands {names[:3]} and others")
    if not np.isfinite(values).all():
        raise ValueError("Xee masked pixels that have a value")
    return values.astype(np.int8)
