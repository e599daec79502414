"""A loopback Earth Engine, for the unmodified clients: ``ee.Initialize(url=service.url, ...)``.

It serves the discovery document and the list of algorithms that the client's wheel ships,
``value:compute``, ``image:computePixels`` and ``table:computeFeatures`` over a `World` whose pixels
have a closed form. It evaluates the operations that this project, Xee and plain user code need, as
their documentation has them; whatever else it is asked is answered 400 naming it, and nothing that
is asked is ignored.
"""

from servers.earthengine.conduct import Conduct, Fault, Tally
from servers.earthengine.server import Service
from servers.earthengine.world import (
    COLLECTION,
    IMAGE_SIZE,
    Tile,
    World,
    crs_zone,
    tiles_around,
    zone_crs,
)

__all__ = [
    "COLLECTION",
    "IMAGE_SIZE",
    "Conduct",
    "Fault",
    "Service",
    "Tally",
    "Tile",
    "World",
    "crs_zone",
    "tiles_around",
    "zone_crs",
]
