"""What faults cost: wall time against an undisturbed run, and refusals after a quota drops.

    uv run --all-extras --group dev scripts/benchmarks/faults.py [PATCHES]

Real threads and real time; the source is a closed form with a latency of 300 ms and 40 reads at
once. A fifth of the answers are refusals, 503s, resets, truncated bodies and stalls, evenly; a
stall never answers.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from hfaef.build.fetch.engine import fetch
from hfaef.build.fetch.read import read_patch
from hfaef.build.fetch.retry import Policy
from hfaef.build.fetch.threads import ThreadExecutor
from hfaef.build.staging.store import Store
from hfaef.core.grid import Grid
from hfaef.errors import Throttled
from hfaef.sources.base import Pixels
from support.fakes import USUAL, FieldSource, patches, truth

LATENCY, AT_ONCE = 0.3, 40
SHARE = 0.2


class QuotaSource(FieldSource):
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

    def read(self, grid: Grid, year: int) -> Pixels:
        """As of the field, unless the quota is used up."""
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
            return super().read(grid, year)
        finally:
            with self._gate:
                self._inside -= 1


def run(source: FieldSource, count: int) -> tuple[float, int, int]:
    """Seconds, patches that were lost, and pixels that are wrong."""
    wanted = patches(count)
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "out") as store:
        read = partial(read_patch, source, store.pixels, Policy())
        started = time.monotonic()
        fetch(wanted, ThreadExecutor(read, AT_ONCE), store)
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


def main() -> None:
    """Print ratios: ours, target."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    ideal = int(np.ceil(count / AT_ONCE)) * LATENCY
    calm, _, _ = run(FieldSource(latency=LATENCY), count)
    print(
        f"undisturbed: {calm:.1f} s for {count:,} patches; the latency alone: {ideal:.1f} s, ",
        end="",
    )
    print(f"ratio {calm / ideal:.2f}, target <= 1.15")
    stalls = SHARE / (len(USUAL) + 1)
    faulty = FieldSource(latency=LATENCY, share=SHARE - stalls, stall_share=stalls)
    seconds, lost, wrong = run(faulty, count)
    print(f"a fifth of {sum(faulty.reads.values()):,} answers fail: {seconds:.1f} s, ", end="")
    print(f"ratio {seconds / calm:.2f}, target <= 1.60; lost {lost}, wrong pixels {wrong}")
    quota = QuotaSource(latency=LATENCY)
    quota.drop_after = count // 2
    seconds, lost, wrong = run(quota, count)
    answers, refused = quota.settled
    print(
        f"a quota that drops from 40 to 10: {seconds:.1f} s, lost {lost}, wrong {wrong}; ", end=""
    )
    print(f"refused after it settled: {refused} of {answers}, ", end="")
    print(f"{refused / max(answers, 1):.1%}, target < 5%")


if __name__ == "__main__":
    main()
