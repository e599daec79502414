"""A data set's repository as readers meet it: the commit of a revision, asked of the Hub, or what
the clients' caches hold of it where the Hub cannot be reached.

`datasets` itself takes the newest of its cache then, whatever revision is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfaef.core.net.proxies import require_usable_proxies
from hfaef.core.net.text import clean_text
from hfaef.errors import HubError

if TYPE_CHECKING:
    import datasets

_CARD = "README.md"
_SECONDS = 10.0
"""For the one answer that is waited for before the cache is looked at."""
_LONGEST = 2000
"""Characters of what a client says of a connection, so that nothing of it is cut."""
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_SECRET = re.compile(r"(?<=://)[^/@\s]*@")


class UnreachableError(HubError):
    """The Hub does not answer; what is in the cache can be read all the same."""


def describe_failure(error: BaseException) -> str:
    """What a client says of a connection that failed, whole, but for passwords of proxies."""
    words = _SECRET.sub("", clean_text(error, _LONGEST))
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


@contextmanager
def reading_from_hub(repo_id: str) -> Iterator[None]:
    """Turn what readers' clients raise into one line.

    Raises:
        UnreachableError: if the Hub does not answer, or is not to be asked.
        HubError: if it refuses.
    """
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    require_usable_proxies()
    there = f"{constants.ENDPOINT}/datasets/{repo_id}"
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise UnreachableError(
            f"{there} is not asked, as HF_HUB_OFFLINE is set", "unset it"
        ) from error
    except RevisionNotFoundError as error:
        raise HubError(f"{repo_id} has no such version", f"see {there}/tree/main") from error
    except GatedRepoError as error:
        raise HubError(f"{repo_id} is gated", f"ask for access at {there}") from error
    except (RepositoryNotFoundError, DatasetNotFoundError) as error:
        raise HubError(
            f"on the Hub {repo_id} is not there, or your token may not see it ({there})",
            "hf auth login, or set HF_TOKEN",
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        reason = clean_text((error.server_message or "").split("\n")[0], 300)
        kind = UnreachableError if status in _BUSY else HubError
        raise kind(f"{there}: the Hub answers {status} ({reason})", "try it again later") from error
    except (httpx.TransportError, ConnectionError) as error:
        raise UnreachableError(
            f"{there} cannot be reached: {describe_failure(error)}",
            "see that the network, and HTTPS_PROXY if you need one, let it through",
        ) from error


def find_commit(repo_id: str, revision: str | None = None) -> str:
    """The commit of a branch, tag or commit; noted in the cache, where it is found later.

    The Hub is asked once before anything is asked twice, so that what is not there is told at once.

    Args:
        repo_id: ``owner/name``.
        revision: ``main`` by default.

    Raises:
        UnreachableError: if the Hub does not answer.
        HubError: if it refuses, or there is no such repository or revision.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import EntryNotFoundError

    api = HfApi(library_name="hfaef")
    with reading_from_hub(repo_id):
        found = api.dataset_info(repo_id, revision=revision, expand=["sha"], timeout=_SECONDS)
        commit = clean_text(found.sha)
        try:
            card = api.hf_hub_download(repo_id, _CARD, revision=revision, repo_type="dataset")
        except EntryNotFoundError:
            return commit
        return Path(card).parent.name


def cached_snapshot(repo_id: str, revision: str | None = None) -> Path | None:
    """The folder of the cache that holds files of a revision; None if it holds none."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo_id, _CARD, revision=revision, repo_type="dataset")
    return Path(found).parent if isinstance(found, str) else None


def cached_configs(snapshot: Path) -> Mapping[str, Any]:
    """Configs of the card of a snapshot by name, the default one first."""
    from huggingface_hub import DatasetCard

    listed = DatasetCard.load(snapshot / _CARD).data.to_dict().get("configs") or []
    listed.sort(key=lambda one: not one.get("default"))
    return {one["config_name"]: one for one in listed}


def cached_builder(repo_id: str, config: str, commit: str) -> datasets.DatasetBuilder | None:
    """What `datasets` has in its cache of a config at a commit; None if it has nothing."""
    from datasets import config as settings
    from datasets.naming import camelcase_to_snakecase
    from datasets.packaged_modules.cache.cache import Cache

    owner, _, name = repo_id.partition("/")
    folder = Path(settings.HF_DATASETS_CACHE) / f"{owner}___{camelcase_to_snakecase(name)}" / config
    for found in folder.glob(f"*/{commit}/dataset_info.json"):
        return Cache(
            dataset_name=name,
            repo_id=repo_id,
            config_name=config,
            version=found.parts[-3],
            hash=commit,
        )
    return None
