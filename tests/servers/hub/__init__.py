"""A Hugging Face Hub on 127.0.0.1 that the unmodified clients push to and load from.

It serves what huggingface_hub and datasets ask of the real one for data sets in LFS: accounts,
repositories, commits, tags, listings, uploads and downloads, with the real status codes, headers
and error codes. History is kept whole, so that old revisions stay loadable. Faults are set by
route and call. Xet is not served: clients run with ``HF_HUB_DISABLE_XET=1``.
"""

from __future__ import annotations

from servers.hub.faults import ANY, Fault
from servers.hub.refusal import Refusal
from servers.hub.service import Hub
from servers.hub.wire import Seen

__all__ = ["ANY", "Fault", "Hub", "Refusal", "Seen"]
