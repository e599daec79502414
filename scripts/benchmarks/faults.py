"""What faults cost: wall time against an undisturbed run, and refusals after a quota drops.

    uv run --all-extras --group dev scripts/benchmarks/faults.py [PATCHES]

Real threads and real time; the source is a closed form with a latency of 300 ms and 40 reads at
once. A fifth of the answers are refusals, 503s, resets, truncated bodies and stalls, evenly; a
stall never answers. First one patch a request, then four, with the checks of batches; of more in
a request there would be too few requests for their faults to tell anything.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from hfaef.build.batches.count import count_batches
from hfaef.build.fetch.engine import fetch
from hfaef.build.fetch.read import read_asked
from hfaef.build.fetch.retry import Policy
from hfaef.build.fetch.threads import ThreadExecutor
from hfaef.build.staging.store import Store
from hfaef.core.grid import Grid
from hfaef.errors import SourceError, Throttled
from hfaef.sources.base import Pixels
from support.fakes import USUAL, BatchSource, patches, truth

LATENCY, AT_ONCE = 0.3, 40
SHARE = 0.2


class QuotaSource(BatchSource):
    """Refuses at once what is above a quota, which drops from 40 to 10."""

    drop_after: int = 0
    settle: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._gate = threading.Lock()
        self._inside = self._answers = 0
        self.dropped: float | None = None
        self.settled = [0, 0]
        """Answers, and refusals among them, from a while after the drop on."""

    @contextmanager
    def _quota(self) -> Iterator[None]:
        with self._gate:
            self._answers += 1
            if self._answers == self.drop_after:
                self.dropped = time.monotonic()
            refused = self._inside >= (AT_ONCE if self.dropped is None else 10)
            if self.dropped is not None and time.monotonic() > self.dropped + self.settle:
                self.settled[0] += 1
                self.settled[1] += refused
            self._inside += not refused
        if refused:
            raise Throttled("429 quota exceeded")
        try:
            yield
        finally:
            with self._gate:
                self._inside -= 1

    def read(self, grid: Grid, year: int) -> Pixels:
        """As of the field, unless the quota is used up."""
        with self._quota():
            return super().read(grid, year)

    def read_batch(self, grids: Sequence[Grid], year: int) -> list[Pixels | SourceError]:
        """As of the field, unless the quota is used up."""
        with self._quota():
            return super().read_batch(grids, year)


def run(source: BatchSource, count: int) -> tuple[float, int, int]:
    """Seconds, patches that were lost, and pixels that are wrong."""
    wanted = patches(count)
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "out") as store:
        read = partial(read_asked, source, store.pixels, Policy())
        kind_of = source.batch_kind if source.most > 1 else None
        started = time.monotonic()
        for note in fetch(wanted, ThreadExecutor(read, AT_ONCE), store, kind_of=kind_of):
            print(note)
        seconds = time.monotonic() - started
        outcomes = store.outcomes()
        lost = sum(not outcome.fetched for outcome in outcomes.values())
        wrong = sum(
            int((store.pixels.read(patch) != truth(patch.grid, patch.year)).sum())
            for patch in wanted
            if outcomes[patch.year, patch.id].fetched
        )
    source.close()
    return seconds, lost, wrong


def report(count: int, most: int) -> None:
    """Print ratios, with so many patches of a request: ours, target."""
    requests = count
    if most > 1:
        planned = count_batches(patches(count), BatchSource(most=most).batch_kind)
        requests = planned.batches + planned.checks + len(planned.alone)
    ideal = requests * LATENCY / AT_ONCE
    print(f"\n{most} of {count:,} patches in a request: {requests:,} requests")
    calm, _, _ = run(BatchSource(latency=LATENCY, most=most), count)
    print(f"undisturbed: {calm:.1f} s; the latency alone: {ideal:.1f} s, ", end="")
    # A run of few requests is hardly more than its slow start, from 10 at once on.
    print(f"ratio {calm / ideal:.2f}" + (", target <= 1.15" if most == 1 else ""))
    stalls = SHARE / (len(USUAL) + 1)
    faulty = BatchSource(latency=LATENCY, share=SHARE - stalls, stall_share=stalls, most=most)
    seconds, lost, wrong = run(faulty, count)
    answers = sum(faulty.reads.values()) + len(faulty.batches)
    print(f"a fifth of {answers:,} answers fail: {seconds:.1f} s, ", end="")
    print(
        f"ratio {seconds / calm:.2f}, target <= 1.60, {seconds / ideal:.2f} of the latency alone; ",
        end="",
    )
    print(f"lost {lost}, wrong pixels {wrong}")
    quota = QuotaSource(latency=LATENCY, most=most)
    quota.drop_after = requests // 2
    seconds, lost, wrong = run(quota, count)
    answers, refused = quota.settled
    print(
        f"a quota that drops from 40 to 10: {seconds:.1f} s, lost {lost}, wrong {wrong}; ", end=""
    )
    print(f"refused after it settled: {refused} of {answers}, ", end="")
    print(f"{refused / max(answers, 1):.1%}, target < 5%")


def main() -> None:
    """One by one, then together."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    for most in (1, 4):
        report(count, most)


if __name__ == "__main__":
    main()
