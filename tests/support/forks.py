"""Processes that begin with the libraries imported which commands need: a second or three less each.

One server for all tests of a process imports them once and forks for each command. What reads an
address, a token or a folder of the user when it is imported (hfaef itself, huggingface_hub,
datasets) is imported by the fork. What depends on how Python is started, on what is installed or
on what a module forgot to import is tested in processes of their own.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import IO

_LONGEST = 1 << 20
"""Bytes of a message."""


class ForkServer:
    """Forks processes, and tells how they end."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ended: dict[int, int] = {}
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, Path(__file__).with_name("fork_server.py"), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for the tests
            )

    def close(self) -> None:
        """End the server; what it forked goes on."""
        self._socket.close()
        self._process.wait()

    def start(
        self,
        command: Sequence[str],
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        own_session: bool = False,
    ) -> Fork:
        """Start a command.

        Args:
            command: ``-c CODE ARGUMENT...`` of Python, or ``-m MODULE ARGUMENT...``.
            folder: it works there; that of the tests by default.
            environment: all of it; that of the tests by default.
            own_session: whether it leads a group of processes.
        """
        output, errors = (tempfile.TemporaryFile("w+") for _ in range(2))  # noqa: SIM115 - `Fork` has them
        request = {
            "command": [*command],
            "folder": str(folder or Path.cwd()),
            "environment": dict(os.environ if environment is None else environment),
            "own_session": own_session,
        }
        with self._lock:
            files = [output.fileno(), errors.fileno()]
            socket.send_fds(self._socket, [json.dumps(request).encode()], files)
            while (pid := self._hear(None)) is None:
                pass
        return Fork(self, pid, output, errors)

    def code_of(self, pid: int, timeout: float | None) -> int | None:
        """The exit code of a process, as `subprocess` gives it; None if it is still at work."""
        end = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            while pid not in self._ended:
                left = None if end is None else max(0.0, end - time.monotonic())
                try:
                    self._hear(left)
                except (TimeoutError, BlockingIOError):
                    return None
            return self._ended[pid]

    def _hear(self, timeout: float | None) -> int | None:
        """Take one message; gives the number of a process if it is that of one that began."""
        self._socket.settimeout(timeout)
        content = self._socket.recv(_LONGEST)
        assert content, "the fork server has ended"
        word, pid, *code = map(int, content.split())
        if word:
            self._ended.pop(pid, None)  # of one before it: numbers come again
            return pid
        self._ended[pid] = code[0]
        return None


class Fork:
    """A process that a server forked; to be used as `subprocess.Popen` with pipes of text."""

    def __init__(self, server: ForkServer, pid: int, output: IO[str], errors: IO[str]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server = server
        self._files = output, errors

    def poll(self) -> int | None:
        """The exit code, if it has ended."""
        if self.returncode is None:
            self.returncode = self._server.code_of(self.pid, 0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code."""
        if self.returncode is None:
            self.returncode = self._server.code_of(self.pid, timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Standard output and standard error, when it has ended."""
        try:
            self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        texts = []
        for file in self._files:
            file.seek(0)
            texts.append(file.read())
            file.close()
        return texts[0], texts[1]

    def said(self) -> str:
        """What it has written to standard output until now."""
        return os.pread(self._files[0].fileno(), _LONGEST, 0).decode()

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended; from any thread."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)
