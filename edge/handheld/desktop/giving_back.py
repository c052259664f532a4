"""Memory of pictures goes back to the system when it is free: glibc would keep it, in pieces."""

from __future__ import annotations

import ctypes
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
"""mallopt(3), malloc.h"""
PICTURES_FROM_BYTES: Final = 128 * 1_024
"""glibc's own first value; it raises it by itself up to 32 MB unless it is set, and every frame of a camera
then lies among small things that outlive it."""
ARENAS: Final = 2


def give_back_pictures() -> bool:
    """Before the first thread. False: no glibc here, nothing changed."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, PICTURES_FROM_BYTES)) and bool(mallopt(_M_ARENA_MAX, ARENAS))
