"""The programs at the edge: lanes, handhelds, X-ray stations, and the devices they read."""

from typing import Final

VERSION: Final = "0.1.0"
