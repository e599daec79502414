"""Which of the patches that came together are read once more, alone, and compared.

Nobody promises that a service gives the pixels of several patches in one answer as it gives them
alone; so it is looked at, at the beginning and now and then.
"""

from __future__ import annotations

from collections.abc import Sequence

from hfaef.build.fetch.read import Check
from hfaef.build.staging.identity import Key

FIRST_CHECKS = 16
"""Patches of the first batch of a way of asking that are read alone, too."""

CHECK_EVERY = 500
"""Patches that come together after those, until one of them is read alone, too."""


class Trust:
    """What came together, and the checks of it; used by one thread."""

    def __init__(self) -> None:
        self.unchecked: dict[Key, Check] = {}
        """What came together, in earlier builds too, after which no check was good yet; in the order
        in which it came."""
        self._open = 0
        """Checks that are asked for and not done."""
        self._covered = 0
        """How many of `unchecked` came before the last check was asked for; what came while it was
        under way is for the next one."""
        self._ways: set[str] = set()
        """Ways of asking whose first batch is checked or being checked."""
        self._since = 0
        """Patches that came together since a check was asked for."""

    def came(self, way: str, patches: Sequence[Check]) -> tuple[Check, ...]:
        """Count what came together; gives those that are to be checked now."""
        self.unchecked |= {_key(check): check for check in patches}
        if way in self._ways:
            count, self._since = divmod(self._since + len(patches), CHECK_EVERY)
        else:
            count, self._since = FIRST_CHECKS, 0
            self._ways |= {way} if patches else set()
        if not count or not patches:
            return ()
        # From the end: the first one may be where it would be alone.
        step = -(-len(patches) // count)
        return self._asked(patches[::-step])

    def before(self, patches: Sequence[Check]) -> tuple[Check, ...]:
        """Take what came in earlier builds; gives one of each shape, as a shape comes in one way."""
        shapes = {}
        for check in patches:
            self.unchecked[_key(check)] = check
            shapes[check.patch.grid.height, check.patch.grid.width] = check
        return self._asked(tuple(shapes.values())[:FIRST_CHECKS])

    def after(self) -> tuple[Check, ...]:
        """What is still to be checked when all else is done."""
        return self._asked(tuple(self.unchecked.values())[-1:])

    def _asked(self, checks: Sequence[Check]) -> tuple[Check, ...]:
        self._open += len(checks)
        if checks:
            self._covered = len(self.unchecked)
        return tuple(checks)

    def passed(self) -> dict[Key, Check]:
        """Count a good check; gives what is trusted now: all that came before the last one was asked
        for, unless another check is open.
        """
        self._open -= 1
        if self._open:
            return {}
        covered = list(self.unchecked)[: self._covered]
        self._covered = 0
        return {key: self.unchecked.pop(key) for key in covered}

    def lost(self) -> dict[Key, Check]:
        """Trust nothing that came together and was not checked; gives it."""
        lost, self.unchecked, self._open, self._covered = self.unchecked, {}, 0, 0
        return lost


def _key(check: Check) -> Key:
    return check.patch.year, check.patch.id
