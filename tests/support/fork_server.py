"""What `support.forks` runs: imports libraries, then forks for each request on its socket."""

from __future__ import annotations

import gc
import json
import os
import runpy
import signal
import socket
import sys
import tempfile
import types
from contextlib import suppress
from importlib import import_module
from select import select
from typing import Any

IMPORTED = """
aiohttp anyio dill fsspec.implementations.http fsspec.implementations.local h11 httpcore2 httpx2
jinja2 multiprocess.pool numpy pandas PIL.Image PIL.PngImagePlugin pyarrow.compute pyarrow.csv
pyarrow.dataset pyarrow.parquet pydantic pyproj rasterio requests rich.console rich.progress
scipy.io shapely tqdm.auto tqdm.contrib.concurrent truststore typer xxhash yaml
"""
"""Of them none reads an address, a token or a folder of the user when it is imported."""

_LONGEST = 1 << 20


def serve(requests: socket.socket) -> dict[str, Any]:
    """Fork for each request; gives it, in the fork. Ends the server when nobody asks any more."""
    woken, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    while True:
        ready, _, _ = select([requests, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            with suppress(ChildProcessError):
                while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                    code = os.waitstatus_to_exitcode(ended[1])
                    requests.send(f"0 {ended[0]} {code}".encode())
        if requests not in ready:
            continue
        content, files, _, _ = socket.recv_fds(requests, _LONGEST, 2)
        if not content:
            os._exit(0)
        if pid := os.fork():
            for file in files:
                os.close(file)
            requests.send(f"1 {pid}".encode())
            continue
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for file in (woken, waking):
            os.close(file)
        requests.close()
        for number, file in enumerate(files, 1):
            os.dup2(file, number)
            os.close(file)
        return dict(json.loads(content))


def run(request: dict[str, Any]) -> None:
    """Be the process that was asked for, until its code ends."""
    if request["own_session"]:
        os.setsid()
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None  # what was imported before may have asked for it
    os.chdir(request["folder"])
    option, what, *arguments = request["command"]
    sys.path[0] = ""
    if option == "-m":
        sys.argv = [what, *arguments]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
        return
    sys.argv = ["-c", *arguments]
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(compile(what, "<string>", "exec"), vars(module))  # noqa: S102 - as `python -c` does


if __name__ == "__main__":
    for name in IMPORTED.split():
        with suppress(ImportError):
            import_module(name)
    gc.freeze()  # a fork copies no page only because its objects are looked at
    run(serve(socket.socket(fileno=int(sys.argv[1]))))
