"""What is asked of every input, however odd: it is used, or refused in words that help."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hfaef.errors import HfaefError

Result = TypeVar("Result")


def used_or_refused(use: Callable[[], Result], *named: str) -> Result | None:
    """What using an input gives; None if it was refused in one line with a hint.

    Any other error than ours is raised, and fails the test.

    Args:
        use: uses the input.
        named: what a refusal must name.
    """
    try:
        return use()
    except HfaefError as error:
        refusal = error
    said = str(refusal)
    assert said.isprintable(), said
    assert refusal.hint, said
    assert len(said) < 5000, said[:200]
    for name in named:
        assert name in refusal.message, said
    return None
