"""Fixtures: a Hub with two accounts, and client processes that use it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from servers.hub.service import Hub
from support.forks import Fork, ForkServer

WRITER = "token-of-ada-that-writes"
READER = "token-of-ada-that-reads"
OTHER = "token-of-bob"


@dataclass(frozen=True)
class Client:
    """Python in processes of their own, as HF_ENDPOINT is read when huggingface_hub is imported."""

    hub: Hub
    home: Path
    """Caches of the clients."""
    forks: ForkServer

    def start(
        self, *command: str, token: str | None = WRITER, home: str | None = None, **variables: str
    ) -> Fork:
        """Starts Python: ``-c CODE`` or ``-m MODULE``, and arguments.

        Each token has caches of its own unless `home` names some.
        """
        whose = hashlib.sha256(str(token).encode()).hexdigest()[:8]
        folder = self.home / (home or f"home-{whose}")
        environment = self.hub.environment(folder, token) | variables
        return self.forks.start(command, environment=environment)

    def hfaef(self, *arguments: object, token: str | None = WRITER, **variables: str) -> Fork:
        """Starts hfaef's command line."""
        return self.start("-m", "hfaef", *map(str, arguments), token=token, **variables)

    def run(
        self,
        code: str,
        *arguments: object,
        token: str | None = WRITER,
        home: str | None = None,
        **variables: str,
    ) -> Any:
        """Runs Python code that finds `api` and `arguments` and leaves its result in `answer`.

        Returns:
            The answer, through JSON.
        """
        text = (
            "import json, sys\n"
            "from huggingface_hub import HfApi\n"
            "api, arguments, answer = HfApi(), json.loads(sys.argv[1]), None\n"
            f"{code}\n"
            "print('\\n' + json.dumps(answer, default=str), flush=True)\n"
            # pyarrow may abort a process that ends: https://github.com/apache/arrow/issues/45214
            "import os; os._exit(0)\n"
        )
        process = self.start(
            "-c",
            text,
            json.dumps(arguments, default=str),
            token=token,
            home=home,
            **variables,
        )
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        return json.loads(output.splitlines()[-1])

    def fail(self, code: str, *arguments: object, token: str | None = WRITER) -> dict[str, Any]:
        """Runs code that has to raise; the exception's kind, status and text."""
        lines = "\n".join(f"    {line}" for line in code.strip().splitlines())
        return dict(
            self.run(
                f"try:\n{lines}\n"
                "except Exception as error:\n"
                "    status = getattr(getattr(error, 'response', None), 'status_code', None)\n"
                "    kind = type(error).__name__\n"
                "    answer = {'kind': kind, 'status': status, 'text': str(error)}\n"
                "else:\n    raise SystemExit('it passed')",
                *arguments,
                token=token,
            )
        )


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A Hub where `ada` writes for herself and the organisation `lab`; asks for no unknown route.

    `READER` is a token of hers that only reads; `bob` is somebody else.
    """
    with Hub(part_bytes=1_000_000) as hub:
        hub.account("ada", WRITER, organisations={"lab": "write"})
        hub.account("ada", READER, role="read", organisations={"lab": "write"})
        hub.account("bob", OTHER)
        yield hub
    assert hub.failures == []
    assert hub.unknown == []


@pytest.fixture
def client(hub: Hub, tmp_path: Path, forks: ForkServer) -> Client:
    """Processes that use the Hub of the test."""
    return Client(hub, tmp_path, forks)
