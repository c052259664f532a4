"""X-ray line stream: tells pictures and states. It sends nothing, ever, and takes no order (X1).

numpy is loaded with the first such driver, so that a lane does not carry it.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.devices.driver import Output
from edge.devices.readings import Order, OrderRefused, ReadGarbled, Reading, ReadTruncated
from edge.devices.settings import setting
from edge.devices.xray_line_stream import wire


@dataclass(frozen=True, slots=True)
class Settings:
    air_value: int = setting(
        60000, "value of air after correction; where the machine corrects, its own", least=1000, most=65535
    )
    offset_lines: int = setting(64, "dark lines an offset is the mean of", least=1, most=4096)
    gain_lines: int = setting(64, "empty lines in a row a gain is the mean of", least=2, most=4096)
    gain_most_age_s: float = setting(
        900.0, "with an older gain no picture is good enough to pass by itself", least=1, most=86400
    )
    least_air: int = setting(
        1000, "signal of air above the offset a pixel needs to be alive", least=1, most=60000
    )
    most_dead: float = setting(0.02, "share of dead pixels above which a gain is refused", least=0, most=0.5)
    least_lines: int = setting(16, "shorter pictures are none", least=1, most=1000)
    most_lines: int = setting(6000, "longer pictures end here as OVERSIZE", least=16, most=20000)
    quiet_s: float = setting(0.5, "silence that cuts off a frame", least=0.01, most=10)
    gone_s: float = setting(
        5.0, "without a whole frame for so long the connection is opened again", least=1, most=600
    )


class LineStreamDriver:
    def __init__(self, settings: Settings) -> None:
        from edge.devices.xray_line_stream.gain import Limits
        from edge.devices.xray_line_stream.session import Bounds, LineSession

        self._settings = settings
        gain = Limits(
            settings.air_value,
            settings.offset_lines,
            settings.gain_lines,
            settings.gain_most_age_s,
            settings.least_air,
            settings.most_dead,
        )
        self._decoder = wire.Decoder()
        self._session = LineSession(Bounds(gain, settings.least_lines, settings.most_lines))
        self._quiet_at_s: float | None = None
        self._gone_at_s: float | None = None

    def opened(self, at_s: float) -> Output:
        self._decoder.clear()
        self._quiet_at_s = None
        self._gone_at_s = at_s + self._settings.gone_s
        self._session.opened()
        return self._output(())

    def received(self, at_s: float, data: bytes) -> Output:
        late = self._gone_quiet(at_s)
        readings, whole = self._came(at_s, self._decoder.feed(data))
        if whole:
            self._gone_at_s = at_s + self._settings.gone_s
        if data:
            self._quiet_at_s = at_s + self._settings.quiet_s if self._decoder.holding else None
        return self._output((*late, *readings), heard=whole)

    def due(self, at_s: float) -> Output:
        readings = self._gone_quiet(at_s)
        if self._gone_at_s is not None and at_s >= self._gone_at_s:
            self._gone_at_s = None
            why = f"no whole frame for {self._settings.gone_s:g} s"
            return self._output((*readings, ReadGarbled(b"", why)), hang_up=True)
        return self._output(readings)

    def order(self, at_s: float, order_id: str, order: Order) -> Output:
        why = f"an X-ray machine takes no {type(order).__name__} from us"
        return self._output((OrderRefused(order_id, why),))

    def _gone_quiet(self, at_s: float) -> tuple[Reading, ...]:
        if self._quiet_at_s is None or at_s < self._quiet_at_s:
            return ()
        self._quiet_at_s = None
        return self._came(at_s, self._decoder.quiet())[0]

    def _came(
        self, at_s: float, messages: list[wire.Message | ReadGarbled | ReadTruncated]
    ) -> tuple[tuple[Reading, ...], bool]:
        """(readings, a whole frame was among the messages)"""
        readings: list[Reading] = []
        whole = False
        for message in messages:
            if isinstance(message, ReadGarbled | ReadTruncated):
                readings.append(message)
            else:
                whole = True
                readings += self._session.came(at_s, message)
        return tuple(readings), whole

    def _output(self, readings: tuple[Reading, ...], *, hang_up: bool = False, heard: bool = False) -> Output:
        wakes = [at_s for at_s in (self._quiet_at_s, self._gone_at_s) if at_s is not None]
        return Output(readings, b"", min(wakes, default=None), hang_up=hang_up, heard=heard)
