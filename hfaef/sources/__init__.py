"""Sources of embeddings: one package each, behind the contract in `base`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hfaef.core.net.endpoints import trusting
from hfaef.recipe.model import Cog, EarthEngine
from hfaef.sources.base import Source


def open_source(
    section: Cog | EarthEngine, years: Sequence[int] = (), trusted: Iterable[str] = ()
) -> Source:
    """The source that a recipe names.

    Args:
        section: the recipe's.
        years: checked to be there, by a source that knows its years.
        trusted: hosts that credentials may be sent to, beside those that they are for.

    Raises:
        InputError: if it cannot be opened as the recipe says.
        SourceError: if a service does not answer, or accepts no credentials.
    """
    match section:
        case Cog():
            from hfaef.sources.cog.source import open_cog

            return open_cog(section)
        case EarthEngine():
            from hfaef.sources.earthengine import source as earthengine

            with trusting(trusted):
                return earthengine.open(section, years)
