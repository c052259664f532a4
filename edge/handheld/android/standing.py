"""How the phone stands: battery, network, place. Only reads."""

from __future__ import annotations

from typing import Any, Final

from edge.handheld.android.java import context, java, sdk, system_service
from edge.handheld.context import Battery
from edge.handheld.ports import NetworkKind, NetworkState, Spot

_BATTERY_CHANGED: Final = "android.intent.action.BATTERY_CHANGED"
_TRANSPORT_CELLULAR: Final = 0
_TRANSPORT_WIFI: Final = 1
_FINE_LOCATION: Final = "android.permission.ACCESS_FINE_LOCATION"
_GRANTED: Final = 0
_API_FUSED: Final = 31


class AndroidGauge:
    """From the sticky broadcast ACTION_BATTERY_CHANGED: asked with no receiver, so it needs no flag of
    export.
    """

    def read(self) -> Battery:
        intent_filter = java("android.content.IntentFilter")(_BATTERY_CHANGED)
        intent = context().registerReceiver(None, intent_filter)
        if intent is None:
            return Battery()
        level, scale = intent.getIntExtra("level", -1), intent.getIntExtra("scale", -1)
        per_cent = round(100 * level / scale) if level >= 0 and scale > 0 else None
        return Battery(per_cent=per_cent, charging=intent.getIntExtra("plugged", 0) != 0)


class AndroidNetwork:
    """Needs ACCESS_NETWORK_STATE. Whether a network reaches the Internet (NET_CAPABILITY_VALIDATED) is not
    asked: the networks of a site need not."""

    def __init__(self) -> None:
        self._manager = system_service("connectivity")

    def read(self) -> NetworkState:
        network = self._manager.getActiveNetwork() if self._manager is not None else None
        able = self._manager.getNetworkCapabilities(network) if network is not None else None
        if able is None:
            return NetworkState(NetworkKind.NONE)
        if able.hasTransport(_TRANSPORT_WIFI):
            kind = NetworkKind.WIFI
        elif able.hasTransport(_TRANSPORT_CELLULAR):
            kind = NetworkKind.MOBILE
        else:
            kind = NetworkKind.OTHER
        return NetworkState(kind, bool(self._manager.isActiveNetworkMetered()))


class AndroidLocator:
    """The last place the phone knew by itself; no fix is asked for, which would cost battery. Optional:
    without the permission there is none."""

    def read(self) -> Spot | None:
        if context().checkSelfPermission(_FINE_LOCATION) != _GRANTED:
            return None
        manager = system_service("location")
        if manager is None:
            return None
        providers = ("gps", "network", *(("fused",) if sdk() >= _API_FUSED else ()))
        known = [place for name in providers if (place := _last(manager, name)) is not None]
        if not known:
            return None
        newest = max(known, key=lambda place: place.getElapsedRealtimeNanos())
        now_ns = java("android.os.SystemClock").elapsedRealtimeNanos()
        return Spot(
            newest.getLatitude(),
            newest.getLongitude(),
            newest.getAccuracy(),
            max(0.0, (now_ns - newest.getElapsedRealtimeNanos()) / 1e9),
        )


def _last(manager: Any, provider: str) -> Any:
    # Asking for a provider the device does not have throws IllegalArgumentException.
    return manager.getLastKnownLocation(provider) if manager.getAllProviders().contains(provider) else None
