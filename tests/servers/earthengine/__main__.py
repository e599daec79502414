"""The service in a process of its own: ``python -m servers.earthengine GRIDS.json YEAR``.

Prints its address, serves until its standard input ends, and keeps answers, so that asking
everything once makes it cheap. ``POST /conduct`` sets latency and quotas, ``GET /stats`` tells
what it saw.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from hfaef.core.grid import Grid
from servers.earthengine.server import Service
from servers.earthengine.world import World, tiles_around


def main() -> None:
    """Serve a world round the grids of a JSON list of ``[crs, transform, height, width]``."""
    parser = argparse.ArgumentParser(prog="python -m servers.earthengine")
    parser.add_argument("grids", type=Path)
    parser.add_argument("year", type=int)
    arguments = parser.parse_args()
    grids = [
        Grid(crs, tuple(transform), height, width)
        for crs, transform, height, width in json.loads(arguments.grids.read_text())
    ]
    world = World(tiles_around(grids, (arguments.year,)))
    with Service(world, remember=True) as service:
        sys.stdout.write(f"{service.url}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
