"""What the Hub says of a card's YAML."""

from __future__ import annotations

from dataclasses import dataclass

from hfaef.core.net.text import clean_text

_MESSAGES = 5
"""Of one kind on a card, that are shown."""


@dataclass(frozen=True)
class CardReview:
    """What the Hub says of a card's YAML."""

    errors: tuple[str, ...] = ()
    """For which it does not take the card."""
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, answer: object) -> CardReview:
        """What an answer of ``validate-yaml`` says, fit to be printed."""

        def messages(kind: str) -> tuple[str, ...]:
            found = answer.get(kind) if isinstance(answer, dict) else None
            listed = found[:_MESSAGES] if isinstance(found, list) else []
            each = (one.get("message") if isinstance(one, dict) else one for one in listed)
            return tuple(clean_text(message, 300) for message in each)

        return cls(messages("errors"), messages("warnings"))
