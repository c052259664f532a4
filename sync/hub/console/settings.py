"""What the `[console]` part of a hub's config says. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsolePart:
    """The pages of the command centre."""

    host: str = "127.0.0.1"
    port: int = 8080
    certificate_file: Path | None = None
    tls_key_file: Path | None = None
    """Both, or neither: without them it is plain HTTP, for this machine alone or behind a proxy on it."""
    shown_file: Path
    """What pages are made from, read out of the archive; can be deleted and is made anew."""
    lock_s: float = 1800.0
    """A session nothing was asked in for so long is over; a wall that only watches stays."""
    session_s: float = 12 * 3600.0
    baseline_lane_s: float | None = None
    """Time in the lane before kakou, as measured at the site; None: none was measured."""
    stations: Mapping[str, str] = field(default_factory=dict)
    """X-ray station -> the address of its page, for remote judging (集中判图)."""
    station_ca_file: Path | None = None
    """Who signed the stations' certificates; None: the site's own authority, `sync.ca_file`."""
    hold_due_s: float = 120.0
    """A held vehicle's deadline at the exception desk; a lane's own is `timing.hold_s`."""
    live_folder: Path
    """Where live pictures and sound go that are marked to be kept."""
    metrics_open: bool = False
    """True: /metrics answers anybody who reaches the port."""
    behind_proxy: bool = False
    """True: a proxy on this machine speaks TLS with browsers and says who asks (X-Forwarded-For, -Proto)."""

    @property
    def encrypted(self) -> bool:
        """Whether browsers speak TLS with it, here or at the proxy."""
        return self.certificate_file is not None or self.behind_proxy
