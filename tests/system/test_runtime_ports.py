"""Real ptys, sockets and threads: a driver meets its port. The drivers here echo what they are told."""

from __future__ import annotations

import io
import os
import select
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import structlog

from edge.runtime.channels import ListenAddress, SerialAddress
from edge.runtime.clock import SystemClock
from edge.runtime.log import set_up_log
from edge.runtime.ports import Ears, OrderNotTaken, Port
from edge.runtime.supervisor import (
    BackOff,
    Device,
    DeviceReport,
    DeviceSilent,
    DeviceSpeaking,
    PortBack,
    PortLost,
    Supervisor,
)

if sys.platform != "win32":
    import tty

pytestmark = [pytest.mark.system, pytest.mark.skipif(sys.platform == "win32", reason="needs ptys")]


@pytest.fixture(autouse=True, scope="module")
def _log() -> Iterator[None]:
    """As programs set it up: the library's default draws every traceback for people, which takes long."""
    writer = set_up_log("debug", stream=io.StringIO())
    yield
    writer.close()
    structlog.reset_defaults()


QUICK = BackOff(second_after_s=0.05, longest_s=0.4)


@dataclass(frozen=True)
class Out:
    readings: tuple[str, ...] = ()
    send: bytes = b""
    wake_at_s: float | None = None
    hang_up: bool = False
    heard: bool = False


@dataclass
class Lines:
    """A driver: lines are readings, `!…` raises, `bye` hangs up, `ok` is heard and says nothing; orders are
    sent as lines and answered by the device with `done …`."""

    poll_every_s: float | None = None
    rest: bytes = b""
    greeting: bytes = b""
    threads: set[int] = field(default_factory=set)

    def out(self, at_s: float, readings: tuple[str, ...] = (), send: bytes = b"", **more: bool) -> Out:
        self.threads.add(threading.get_ident())
        wake_at_s = None if self.poll_every_s is None else at_s + self.poll_every_s
        return Out(readings, send, wake_at_s, **more)

    def opened(self, at_s: float) -> Out:
        self.rest = b""
        return self.out(at_s, send=self.greeting)

    def received(self, at_s: float, data: bytes) -> Out:
        *lines, self.rest = (self.rest + data).split(b"\n")
        texts = [line.decode("latin-1") for line in lines]
        if any(text.startswith("!") for text in texts):
            raise ZeroDivisionError("a fault in the driver")
        said = tuple(text for text in texts if text not in ("bye", "ok"))
        return self.out(at_s, said, b"", hang_up="bye" in texts, heard="ok" in texts)

    def due(self, at_s: float) -> Out:
        return self.out(at_s, send=b"poll\n")

    def order(self, at_s: float, order_id: str, order: str) -> Out:
        if order == "raise":
            raise ZeroDivisionError("a fault in the driver")
        return self.out(at_s, send=f"{order_id} {order}\n".encode())


class Told:
    """Everything the supervisor said, in order."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.said: list[tuple[float, object]] = []

    def reading(self, at_s: float, device: str, reading: str) -> None:
        self.add(at_s, (device, reading))

    def report(self, at_s: float, report: DeviceReport) -> None:
        self.add(at_s, report)

    def add(self, at_s: float, what: object) -> None:
        with self.changed:
            self.said.append((at_s, what))
            self.changed.notify_all()

    def all(self) -> list[object]:
        with self.changed:
            return [what for _, what in self.said]

    def wait(self, wanted: Callable[[list[object]], bool], timeout_s: float = 10.0) -> list[object]:
        with self.changed:
            came = self.changed.wait_for(lambda: wanted([w for _, w in self.said]), timeout_s)
            assert came, f"waited for in vain; said: {self.said}"
            return [w for _, w in self.said]

    def wait_for(self, what: object, times: int = 1) -> list[object]:
        return self.wait(lambda said: said.count(what) >= times)


@contextmanager
def supervised(
    *devices: Device[str, str], back_off: BackOff = QUICK
) -> Iterator[tuple[Supervisor[str, str], Told]]:
    told = Told()
    supervisor = Supervisor(
        devices,
        SystemClock(),
        on_reading=told.reading,
        on_report=told.report,
        is_valid=lambda reading: not reading.startswith("?"),
        back_off=back_off,
    )
    supervisor.start()
    try:
        yield supervisor, told
    finally:
        hanging = supervisor.stop()
    assert hanging == ()


class Pty:
    """The device's end of a serial line, found under a name that stays, as by-id paths do."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(self.slave))

    def say(self, data: bytes) -> None:
        os.write(self.master, data)

    def hear(self, count: int, timeout_s: float = 5.0) -> bytes:
        return heard_from(self.master, count, timeout_s)

    def unplug(self) -> None:
        self.link.unlink(missing_ok=True)
        os.close(self.slave)
        os.close(self.master)


def heard_from(descriptor: int, count: int, timeout_s: float = 5.0) -> bytes:
    data = b""
    until_s = time.monotonic() + timeout_s
    while len(data) < count and select.select([descriptor], [], [], max(0.0, until_s - time.monotonic()))[0]:
        piece = os.read(descriptor, 65_536)
        if not piece:
            break
        data += piece
    return data


@contextmanager
def plugged(link: Path) -> Iterator[Pty]:
    pty = Pty(link)
    try:
        yield pty
    finally:
        for descriptor in (pty.master, pty.slave):
            try:
                os.close(descriptor)
            except OSError:
                continue


def scale_at(
    path: Path, *, poll_every_s: float | None = None, silent_after_s: float | None = None
) -> Device[str, str]:
    address = SerialAddress(url=str(path), write_timeout_s=0.3)
    return Device("scale", address, lambda: Lines(poll_every_s), silent_after_s)


# --- serial lines ---


def test_bytes_become_readings_and_orders_become_bytes(tmp_path: Path) -> None:
    with plugged(tmp_path / "scale") as pty, supervised(scale_at(pty.link)) as (supervisor, told):
        told.wait_for(PortBack("scale"))
        pty.say(b"12.5 k")
        pty.say(b"g\n13 kg\n")
        supervisor.order("scale", "o1", "zero")
        assert pty.hear(8) == b"o1 zero\n"
        assert told.wait_for(("scale", "13 kg")) == [
            PortBack("scale"),
            DeviceSpeaking("scale"),
            ("scale", "12.5 kg"),
            ("scale", "13 kg"),
        ]


def test_a_driver_is_called_when_it_asked_to_be(tmp_path: Path) -> None:
    with plugged(tmp_path / "scale") as pty, supervised(scale_at(pty.link, poll_every_s=0.05)):
        began_s = time.monotonic()
        assert pty.hear(50) == b"poll\n" * 10
        assert 0.4 < time.monotonic() - began_s < 3.0


def test_a_driver_that_asks_for_the_past_does_not_spin(tmp_path: Path) -> None:
    with plugged(tmp_path / "scale") as pty, supervised(scale_at(pty.link, poll_every_s=-1.0)):
        began_s = time.monotonic()
        time.sleep(0.3)
        calls = len(pty.hear(65_536, 0.0)) // 5
        assert 5 < calls <= (time.monotonic() - began_s) * 1000 + 2


def test_a_missing_port_is_reported_once_and_found_when_it_appears(tmp_path: Path) -> None:
    with supervised(scale_at(tmp_path / "scale")) as (supervisor, told):
        lost = PortLost("scale", f"{tmp_path / 'scale'}: no such port; is it plugged in?")
        told.wait_for(lost)
        with pytest.raises(OrderNotTaken, match="not open"):
            supervisor.order("scale", "o1", "zero")
        time.sleep(0.5)
        assert told.all() == [lost]
        with plugged(tmp_path / "scale") as pty:
            told.wait_for(PortBack("scale"))
            pty.say(b"12 kg\n")
            assert told.wait_for(("scale", "12 kg"))[0] == lost


def test_a_port_that_vanishes_and_returns_under_its_name_is_found_again(tmp_path: Path) -> None:
    link = tmp_path / "by-id"
    made: list[Lines] = []

    def make() -> Lines:
        made.append(Lines())
        return made[-1]

    device = Device("scale", SerialAddress(url=str(link)), make)
    with plugged(link) as first, supervised(device) as (supervisor, told):
        told.wait_for(PortBack("scale"))
        first.say(b"half a fra")
        first.say(b"me\nanother half")
        told.wait_for(("scale", "half a frame"))
        first.unplug()
        told.wait(lambda said: any(isinstance(each, PortLost) for each in said))
        with plugged(link) as second:
            told.wait_for(PortBack("scale"), times=2)
            second.say(b"12 kg\n")
            said = told.wait_for(("scale", "12 kg"))
            assert said[-2:] == [DeviceSpeaking("scale"), ("scale", "12 kg")]
            supervisor.order("scale", "o2", "zero")
            assert second.hear(8) == b"o2 zero\n"
            health = supervisor.health()["scale"]
            assert (health.port, health.speech, health.openings, health.losses) == ("open", "speaking", 2, 1)
    assert len(made) == 1


def test_a_device_that_takes_no_bytes_is_lost_and_never_makes_an_order_wait(tmp_path: Path) -> None:
    with plugged(tmp_path / "scale") as pty, supervised(scale_at(pty.link)) as (supervisor, told):
        told.wait_for(PortBack("scale"))
        longest_s = 0.0
        until_s = time.monotonic() + 1.5
        number = 0
        while time.monotonic() < until_s and not any(isinstance(each, PortLost) for each in told.all()):
            began_s = time.monotonic()
            try:
                supervisor.order("scale", f"o{number}", "x" * 2000)
            except OrderNotTaken:
                time.sleep(0.01)
            longest_s = max(longest_s, time.monotonic() - began_s)
            number += 1
        (lost,) = [each for each in told.all() if isinstance(each, PortLost)]
        assert "bytes wait to be sent" in lost.why or "took no byte for 0.3 s" in lost.why
        assert longest_s < 0.2


def test_a_write_that_is_stuck_is_a_lost_port_within_its_time(tmp_path: Path) -> None:
    with plugged(tmp_path / "scale") as pty, supervised(scale_at(pty.link)) as (supervisor, told):
        told.wait_for(PortBack("scale"))
        began_s = time.monotonic()
        supervisor.order("scale", "o1", "x" * 60_000)
        told.wait_for(PortLost("scale", f"{pty.link}: it took no byte for 0.3 s"))
        assert 0.25 < time.monotonic() - began_s < 2.0


def test_a_slow_device_that_keeps_taking_bytes_is_not_lost(tmp_path: Path) -> None:
    with plugged(tmp_path / "scale") as pty, supervised(scale_at(pty.link)) as (supervisor, told):
        told.wait_for(PortBack("scale"))
        supervisor.order("scale", "o1", "x" * 60_000)
        heard = b""
        while len(heard) < 60_004:
            piece = pty.hear(1, 1.0)
            assert piece
            heard += piece
            time.sleep(0.05)
        assert heard == b"o1 " + b"x" * 60_000 + b"\n"
        assert told.all() == [PortBack("scale")]


def test_a_port_in_use_elsewhere_is_refused_by_name(tmp_path: Path) -> None:
    with plugged(tmp_path / "scale") as pty, supervised(scale_at(pty.link)) as (_, told):
        told.wait_for(PortBack("scale"))
        with supervised(scale_at(pty.link)) as (_, second):
            second.wait_for(PortLost("scale", f"{pty.link}: in use by another program"))


def test_what_is_no_port_is_refused_with_its_reason(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("x")
    devices = [
        Device("file", SerialAddress(url=str(plain)), Lines),
        Device("scheme", SerialAddress(url="sokcet://127.0.0.1:1"), Lines),
        Device("host", SerialAddress(url="socket://127.0.0.1"), Lines),
        Device("number", SerialAddress(url="socket://127.0.0.1:99999"), Lines),
    ]
    with supervised(*devices) as (_, told):
        said = told.wait(lambda said: len(said) >= 4)
        why = {each.device: each.why for each in said if isinstance(each, PortLost)}
        assert "cannot be opened" in why["file"]
        assert "cannot be opened" in why["scheme"]
        assert why["host"] == "socket://127.0.0.1: expected socket://host:port"
        assert why["number"] == "socket://127.0.0.1:99999: expected socket://host:port"


def test_a_driver_that_raises_is_replaced_and_the_port_is_reported(tmp_path: Path) -> None:
    made: list[Lines] = []

    def make() -> Lines:
        made.append(Lines())
        return made[-1]

    with plugged(tmp_path / "scale") as pty:
        device = Device("scale", SerialAddress(url=str(pty.link)), make)
        with supervised(device) as (supervisor, told):
            told.wait_for(PortBack("scale"))
            pty.say(b"1 kg\n!\n")
            broke = PortLost("scale", "scale: its driver raised ZeroDivisionError('a fault in the driver')")
            told.wait_for(broke)
            told.wait_for(PortBack("scale"), times=2)
            supervisor.order("scale", "o1", "raise")
            told.wait_for(broke, times=2)
            told.wait_for(PortBack("scale"), times=3)
            pty.say(b"2 kg\n")
            told.wait_for(("scale", "2 kg"))
    assert len(made) == 3


def test_a_driver_that_cannot_be_made_is_reported_and_tried_again(tmp_path: Path) -> None:
    tries: list[int] = []

    def make() -> Lines:
        tries.append(1)
        if len(tries) < 3:
            raise KeyError("model")
        return Lines()

    with plugged(tmp_path / "scale") as pty:
        device = Device("scale", SerialAddress(url=str(pty.link)), make)
        with supervised(device) as (_, told):
            said = told.wait_for(PortBack("scale"))
    assert said == [
        PortLost("scale", "scale: its driver cannot be made: KeyError('model')"),
        PortBack("scale"),
    ]


def test_one_thread_owns_the_driver_though_twenty_give_orders(tmp_path: Path) -> None:
    driver = Lines()
    with plugged(tmp_path / "scale") as pty:
        device = Device("scale", SerialAddress(url=str(pty.link), write_timeout_s=5.0), lambda: driver)
        with supervised(device) as (supervisor, told):
            told.wait_for(PortBack("scale"))
            heard: list[bytes] = []
            taken: list[str] = []
            refused: list[str] = []
            slowest_s: list[float] = []
            lock = threading.Lock()
            stop = threading.Event()

            def read() -> None:
                while not stop.is_set():
                    heard.append(heard_from(pty.master, 1, 0.1))

            def hammer(who: int) -> None:
                for number in range(200):
                    order_id = f"{who}-{number}"
                    began_s = time.monotonic()
                    try:
                        supervisor.order("scale", order_id, "x")
                        outcome = taken
                    except OrderNotTaken:
                        outcome = refused
                        time.sleep(0.001)
                    took_s = time.monotonic() - began_s
                    with lock:
                        outcome.append(order_id)
                        slowest_s.append(took_s)

            reader = threading.Thread(target=read)
            threads = [threading.Thread(target=hammer, args=(who,)) for who in range(20)]
            for thread in [reader, *threads]:
                thread.start()
            for thread in threads:
                thread.join()
            supervisor.order("scale", "last", "x")
            until_s = time.monotonic() + 10
            while b"last x\n" not in b"".join(heard[-5:]) and time.monotonic() < until_s:
                time.sleep(0.01)
            stop.set()
            reader.join()
    lines = [line.removesuffix(" x") for line in b"".join(heard).decode().splitlines()]
    assert len(taken) + len(refused) == 4000
    assert len(taken) >= 256
    assert sorted(lines) == sorted([*taken, "last"])
    for who in range(20):
        own = [line for line in lines if line.startswith(f"{who}-")]
        assert own == sorted(own, key=lambda line: int(line.split("-")[1]))
    assert len(driver.threads) == 1
    assert max(slowest_s) < 1.0


def test_a_busy_driver_gets_no_more_orders_than_it_can_be_owed(tmp_path: Path) -> None:
    busy, let_go = threading.Event(), threading.Event()

    class Busy(Lines):
        def order(self, at_s: float, order_id: str, order: str) -> Out:
            busy.set()
            let_go.wait(10)
            return super().order(at_s, order_id, order)

    with plugged(tmp_path / "scale") as pty:
        device = Device("scale", SerialAddress(url=str(pty.link)), Busy)
        with supervised(device) as (supervisor, told):
            told.wait_for(PortBack("scale"))
            supervisor.order("scale", "o0", "x")
            assert busy.wait(5)
            for number in range(256):
                supervisor.order("scale", f"o{number + 1}", "x")
            with pytest.raises(OrderNotTaken, match="256 orders wait already"):
                supervisor.order("scale", "o257", "x")
            let_go.set()
            assert pty.hear(9 + 4 * 256).count(b"\n") > 100


def test_a_port_that_is_closing_takes_no_order(tmp_path: Path) -> None:
    busy, let_go = threading.Event(), threading.Event()

    class Busy(Lines):
        def order(self, at_s: float, order_id: str, order: str) -> Out:
            busy.set()
            let_go.wait(10)
            return super().order(at_s, order_id, order)

    told = Told()
    ears: Ears[str] = Ears(
        lambda at_s, device: told.add(at_s, "open"),
        told.reading,
        lambda at_s, device: None,
        lambda at_s, device, why: None,
    )
    with plugged(tmp_path / "scale") as pty:
        port = Port("scale", SerialAddress(url=str(pty.link)), Busy, SystemClock(), ears)
        thread = threading.Thread(target=port.run)
        thread.start()
        told.wait_for("open")
        port.order("o1", "x")
        assert busy.wait(5)
        port.close()
        with pytest.raises(OrderNotTaken, match="closing"):
            port.order("o2", "x")
        let_go.set()
        thread.join(5)
        assert pty.hear(5) == b"o1 x\n"


def test_bytes_still_unsent_at_the_end_are_sent(tmp_path: Path) -> None:
    with plugged(tmp_path / "scale") as pty:
        heard: list[bytes] = []
        reader = threading.Thread(target=lambda: heard.append(pty.hear(60_004)))
        with supervised(scale_at(pty.link)) as (supervisor, told):
            told.wait_for(PortBack("scale"))
            supervisor.order("scale", "o1", "x" * 60_000)
            threading.Timer(0.1, reader.start).start()
            time.sleep(0.02)
        reader.join(10)
    assert heard == [b"o1 " + b"x" * 60_000 + b"\n"]


def test_orders_given_just_before_the_end_are_still_sent(tmp_path: Path) -> None:
    with plugged(tmp_path / "scale") as pty:
        with supervised(scale_at(pty.link)) as (supervisor, told):
            told.wait_for(PortBack("scale"))
            supervisor.order("scale", "o1", "red")
        assert pty.hear(7) == b"o1 red\n"
        with pytest.raises(OrderNotTaken):
            supervisor.order("scale", "o2", "green")


def test_every_order_taken_is_answered_by_bytes_or_by_the_loss_of_the_port(tmp_path: Path) -> None:
    link = tmp_path / "scale"
    for _ in range(20):
        with plugged(link) as pty, supervised(scale_at(link)) as (supervisor, told):
            told.wait_for(PortBack("scale"))
            unplugging = threading.Timer(0.005, pty.unplug)
            unplugging.start()
            taken_at_s = 0.0
            number = 0
            try:
                while True:
                    at_s = time.monotonic()
                    supervisor.order("scale", f"o{number}", "x")
                    taken_at_s = at_s
                    number += 1
                    time.sleep(0.0005)
            except OrderNotTaken:
                pass
            unplugging.join()
            told.wait(lambda said: any(isinstance(each, PortLost) for each in said))
            lost_at_s = min(at_s for at_s, each in told.said if isinstance(each, PortLost))
            assert number > 0
            assert lost_at_s >= taken_at_s


def test_a_byte_reaches_its_driver_in_a_few_milliseconds(
    tmp_path: Path, record_property: Callable[..., None]
) -> None:
    arrived: list[float] = []
    rung = threading.Event()

    class Stopwatch(Lines):
        def received(self, at_s: float, data: bytes) -> Out:
            arrived.append(time.monotonic())
            rung.set()
            return self.out(at_s)

    with plugged(tmp_path / "scale") as pty:
        device = Device("scale", SerialAddress(url=str(pty.link)), Stopwatch)
        with supervised(device) as (supervisor, told):
            told.wait_for(PortBack("scale"))
            in_ms = []
            out_ms = []
            for number in range(200):
                rung.clear()
                sent_s = time.monotonic()
                pty.say(b"x")
                assert rung.wait(5)
                in_ms.append((arrived[-1] - sent_s) * 1000)
                sent_s = time.monotonic()
                supervisor.order("scale", f"{number:03}", "x")
                assert pty.hear(6) == f"{number:03} x\n".encode()
                out_ms.append((time.monotonic() - sent_s) * 1000)
                time.sleep(0.002)
    figures = {"byte to driver": statistics.median(in_ms), "order to byte": statistics.median(out_ms)}
    for name, median_ms in figures.items():
        record_property(name, median_ms)
        print(f"{name}: median {median_ms:.3f} ms, worst {max(in_ms if 'driver' in name else out_ms):.3f} ms")
    assert max(figures.values()) < 50


def test_ten_idle_ports_cost_next_to_nothing(tmp_path: Path) -> None:
    ptys = [Pty(tmp_path / f"p{number}") for number in range(10)]
    devices = [
        Device(f"p{n}", SerialAddress(url=str(pty.link)), Lines, silent_after_s=60.0)
        for n, pty in enumerate(ptys)
    ]
    with supervised(*devices) as (_, told):
        told.wait(lambda said: len(said) == 10)
        time.sleep(0.2)
        before_s = time.process_time()
        time.sleep(1.0)
        cost_s = time.process_time() - before_s
    for pty in ptys:
        pty.unplug()
    print(f"ten idle ports: {cost_s * 1000:.1f} ms CPU a second")
    assert cost_s < 0.1


# --- silence ---


def test_a_silent_device_is_reported_once_and_again_when_it_speaks(tmp_path: Path) -> None:
    with (
        plugged(tmp_path / "scale") as pty,
        supervised(scale_at(pty.link, silent_after_s=0.3)) as (supervisor, told),
    ):
        told.wait(lambda said: any(isinstance(each, DeviceSilent) for each in said))
        time.sleep(0.5)
        pty.say(b"? garbled\n")
        told.wait_for(("scale", "? garbled"))
        assert supervisor.health()["scale"].speech == "silent"
        pty.say(b"12 kg\n")
        told.wait_for(("scale", "12 kg"))
        told.wait(lambda said: sum(isinstance(each, DeviceSilent) for each in said) == 2)
        silences = [each for each in told.all() if isinstance(each, DeviceSilent)]
        assert [type(each) for each in told.all()] == [
            PortBack,
            DeviceSilent,
            tuple,
            DeviceSpeaking,
            tuple,
            DeviceSilent,
        ]
        assert all(0.3 <= each.silent_s < 2.0 for each in silences)
        health = supervisor.health()["scale"]
        assert (health.readings, health.spoilt) == (1, 1)


def test_answers_that_report_nothing_keep_a_device_from_being_silent(tmp_path: Path) -> None:
    with plugged(tmp_path / "scale") as pty, supervised(scale_at(pty.link, silent_after_s=0.4)) as (_, told):
        for _ in range(10):
            pty.say(b"ok\n")
            time.sleep(0.1)
        assert told.all() == [PortBack("scale"), DeviceSpeaking("scale")]


def test_noise_is_not_speech(tmp_path: Path) -> None:
    with plugged(tmp_path / "scale") as pty, supervised(scale_at(pty.link, silent_after_s=0.4)) as (_, told):
        for _ in range(8):
            pty.say(b"? noise\n")
            time.sleep(0.1)
        silences = [each for each in told.all() if isinstance(each, DeviceSilent)]
        assert len(silences) == 1
        assert DeviceSpeaking("scale") not in told.all()


def test_a_device_whose_port_never_opens_is_silent_too(tmp_path: Path) -> None:
    with supervised(scale_at(tmp_path / "none", silent_after_s=0.2)) as (_, told):
        said = told.wait(lambda said: len(said) == 2)
        assert [type(each) for each in said] == [PortLost, DeviceSilent]


# --- TCP: serial servers ---


@contextmanager
def serial_server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5.0)
        yield server


def at_server(server: socket.socket) -> Device[str, str]:
    url = f"socket://127.0.0.1:{server.getsockname()[1]}"
    return Device("scale", SerialAddress(url=url, write_timeout_s=0.3), Lines)


def test_a_serial_server_that_closes_and_returns_is_found_again() -> None:
    with serial_server() as server, supervised(at_server(server)) as (supervisor, told):
        for turn in range(1, 4):
            connection, _ = server.accept()
            with connection:
                told.wait_for(PortBack("scale"), times=turn)
                connection.sendall(f"{turn} kg\n".encode())
                told.wait_for(("scale", f"{turn} kg"))
                supervisor.order("scale", f"o{turn}", "zero")
                connection.settimeout(5.0)
                assert connection.recv(100) == f"o{turn} zero\n".encode()
            told.wait(lambda said, n=turn: sum(isinstance(e, PortLost) for e in said) >= n)  # type: ignore[misc]
        lost = {each.why.split(": ", 1)[1] for each in told.all() if isinstance(each, PortLost)}
        assert lost <= {"the other end is gone", "reading failed: Connection reset by peer"}


def test_a_serial_server_that_is_off_is_a_clear_report() -> None:
    with serial_server() as server:
        device = at_server(server)
    with supervised(device) as (_, told):
        (lost,) = told.wait(lambda said: len(said) == 1)
        assert isinstance(lost, PortLost)
        assert lost.why == f"{device.address.url}: cannot connect: Connection refused"  # type: ignore[union-attr]


def test_a_serial_server_that_takes_no_bytes_is_lost() -> None:
    with serial_server() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        with supervised(at_server(server)) as (supervisor, told):
            connection, _ = server.accept()
            with connection:
                told.wait_for(PortBack("scale"))
                until_s = time.monotonic() + 10
                while (
                    not any(isinstance(each, PortLost) for each in told.all()) and time.monotonic() < until_s
                ):
                    try:
                        supervisor.order("scale", "o", "x" * 50_000)
                    except OrderNotTaken:
                        time.sleep(0.01)
                    time.sleep(0.001)
                (lost,) = [each for each in told.all() if isinstance(each, PortLost)]
                assert "bytes wait to be sent" in lost.why or "took no byte" in lost.why


def test_a_connection_that_hangs_in_the_making_does_not_hold_up_the_end() -> None:
    with serial_server() as server:
        # The queue of a server that accepts nobody: full after one.
        address = server.getsockname()
        server.listen(0)
        filling = [socket.socket() for _ in range(4)]
        for each in filling:
            each.setblocking(False)
            each.connect_ex(address)
        device = Device(
            "scale", SerialAddress(url=f"socket://127.0.0.1:{address[1]}", open_timeout_s=30), Lines
        )
        began_s = time.monotonic()
        with supervised(device):
            time.sleep(0.2)
        assert time.monotonic() - began_s < 2.0
        for each in filling:
            each.close()


# --- TCP: a connection for each order ---


def on_demand(server: socket.socket, **more: Any) -> Device[str, str]:
    url = f"socket://127.0.0.1:{server.getsockname()[1]}"
    return Device("scale", SerialAddress(url=url, on_demand=True, **more), Lines)


def whole(connection: socket.socket) -> bytes:
    """Everything until the other end closes."""
    connection.settimeout(5.0)
    with connection:
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_on_demand_each_order_has_a_connection_of_its_own_that_ends_behind_it() -> None:
    with serial_server() as server, supervised(on_demand(server)) as (supervisor, told):
        told.wait_for(PortBack("scale"))
        for number in range(3):
            supervisor.order("scale", f"o{number}", "zero")
        heard = [whole(server.accept()[0]) for _ in range(3)]
        assert heard == [b"o0 zero\n", b"o1 zero\n", b"o2 zero\n"]
        assert [each for each in told.all() if isinstance(each, PortLost)] == []
        assert supervisor.health()["scale"].openings == 1


def test_on_demand_an_order_nobody_takes_is_a_lost_port_and_the_next_is_tried_anew() -> None:
    with serial_server() as server:
        device = on_demand(server)
        host, port = server.getsockname()
    with supervised(device) as (supervisor, told):
        told.wait_for(PortBack("scale"))
        supervisor.order("scale", "o1", "zero")
        said = told.wait_for(PortBack("scale"), times=2)
        (lost,) = [each for each in said if isinstance(each, PortLost)]
        assert lost.why.endswith("cannot connect: Connection refused")
        with socket.create_server((host, port)) as again:
            again.settimeout(5.0)
            supervisor.order("scale", "o2", "zero")
            assert whole(again.accept()[0]) == b"o2 zero\n"


def test_on_demand_a_connection_that_hangs_in_the_making_does_not_hold_up_the_end() -> None:
    with serial_server() as server:
        server.listen(0)
        filling = [socket.socket() for _ in range(4)]
        for each in filling:
            each.setblocking(False)
            each.connect_ex(server.getsockname())
        with supervised(on_demand(server, open_timeout_s=30.0)) as (supervisor, told):
            told.wait_for(PortBack("scale"))
            supervisor.order("scale", "o1", "zero")
            time.sleep(0.2)
            began_s = time.monotonic()
        assert time.monotonic() - began_s < 2.0
        for each in filling:
            each.close()


def test_on_demand_needs_a_connection_that_can_be_made() -> None:
    with pytest.raises(ValueError, match="on_demand: expected only with a url of socket"):
        SerialAddress(url="/dev/ttyUSB0", on_demand=True)


@pytest.mark.parametrize("demand", [True, False])
def test_one_message_longer_than_all_that_may_wait_is_sent_to_a_slow_reader(demand: bool) -> None:
    """Pictures of a passage are one message of some megabytes."""
    with serial_server() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        # A window of so few bytes opens late now and then.
        address = SerialAddress(url=url, on_demand=demand, write_timeout_s=5.0)
        with supervised(Device("scale", address, Lines)) as (supervisor, told):
            if demand:
                told.wait_for(PortBack("scale"))
                supervisor.order("scale", "o1", "x" * 2_000_000)
                connection, _ = server.accept()
            else:
                connection, _ = server.accept()
                told.wait_for(PortBack("scale"))
                supervisor.order("scale", "o1", "x" * 2_000_000)
            with connection:
                connection.settimeout(5.0)
                heard = 0
                while heard < 2_000_004:
                    heard += len(connection.recv(65_536))
                lost = [each for each in told.all() if isinstance(each, PortLost)]
            assert (heard, lost) == (2_000_004, [])


@pytest.mark.filterwarnings(r"ignore:set(Daemon|Name)\(\) is deprecated:DeprecationWarning")
def test_rfc2217_carries_bytes_both_ways() -> None:
    with rfc2217_server() as (url, to_client, from_client):
        device = Device("scale", SerialAddress(url=url), Lines)
        with supervised(device) as (supervisor, told):
            told.wait_for(PortBack("scale"))
            to_client(b"12 kg\n")
            told.wait_for(("scale", "12 kg"))
            supervisor.order("scale", "o1", "zero")
            until_s = time.monotonic() + 5
            while b"o1 zero\n" not in from_client() and time.monotonic() < until_s:
                time.sleep(0.01)
            assert b"o1 zero\n" in from_client()


@contextmanager
def rfc2217_server() -> Iterator[tuple[str, Callable[[bytes], None], Callable[[], bytes]]]:
    """The least of RFC 2217 that pyserial insists on: agree to everything, acknowledge every setting."""
    heard = bytearray()
    with serial_server() as server:
        accepted: list[socket.socket] = []

        def serve() -> None:
            connection, _ = server.accept()
            accepted.append(connection)
            pending = bytearray()
            with connection:
                while data := connection.recv(4096):
                    pending += data
                    connection.sendall(answers(pending, heard))

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"rfc2217://127.0.0.1:{server.getsockname()[1]}"
        yield url, lambda data: accepted[0].sendall(data), lambda: bytes(heard)
        thread.join(10)


def answers(pending: bytearray, heard: bytearray) -> bytes:
    """Takes whole telnet commands and data out of `pending`."""
    said = bytearray()
    agree = {251: 253, 253: 251, 252: 254, 254: 252}  # WILL -> DO, DO -> WILL, WONT -> DONT, DONT -> WONT
    while pending:
        if pending[0] != 255:
            heard.append(pending.pop(0))
        elif len(pending) >= 3 and pending[1] in agree:
            said += bytes([255, agree[pending[1]], pending[2]])
            del pending[:3]
        elif len(pending) >= 2 and pending[1] == 250 and b"\xff\xf0" in pending:
            end = pending.index(b"\xff\xf0")
            option, command, value = pending[2], pending[3], pending[4:end]
            said += bytes([255, 250, option, command + 100, *value, 255, 240])
            del pending[: end + 2]
        elif len(pending) >= 2 and pending[1] == 255:
            heard.append(255)
            del pending[:2]
        else:
            break
    return bytes(said)


# --- devices that connect to us ---


def camera(**more: object) -> Device[str, str]:
    address = ListenAddress(**{"host": "127.0.0.1", "port": 0, "write_timeout_s": 0.3, **more})  # type: ignore[arg-type]
    return Device("camera", address, lambda: Lines(greeting=b"hello\n"))


def connected(supervisor: Supervisor[str, str]) -> socket.socket:
    until_s = time.monotonic() + 5
    while (port := supervisor.bound_port("camera")) is None and time.monotonic() < until_s:
        time.sleep(0.005)
    assert port is not None
    connection = socket.create_connection(("127.0.0.1", port), timeout=5)
    connection.settimeout(5.0)
    return connection


def test_each_connection_is_a_conversation_of_its_own() -> None:
    with supervised(camera()) as (supervisor, told):
        with connected(supervisor) as first, connected(supervisor) as second:
            assert (first.recv(100), second.recv(100)) == (b"hello\n", b"hello\n")
            first.sendall(b"half ")
            second.sendall(b"whole\n")
            told.wait_for(("camera", "whole"))
            first.sendall(b"after all\n")
            told.wait_for(("camera", "half after all"))
        assert told.all()[0] == PortBack("camera")
        assert PortBack not in [type(each) for each in told.all()[1:]]


def test_a_driver_that_hangs_up_has_its_last_words_heard_though_more_was_said_to_it() -> None:
    deaf, listens = threading.Event(), threading.Event()

    class Slow(Lines):
        def received(self, at_s: float, data: bytes) -> Out:
            deaf.set()
            listens.wait(10)
            return Out(("plate",), b"goodbye\n", None, hang_up=True)

    device = Device("camera", ListenAddress(host="127.0.0.1", port=0), Slow)
    with supervised(device) as (supervisor, told), connected(supervisor) as connection:
        connection.sendall(b"plate\n")
        assert deaf.wait(5)
        connection.sendall(b"x" * 20_000)
        listens.set()
        said = b""
        while piece := connection.recv(100):
            said += piece
        assert said == b"goodbye\n"
        assert ("camera", "plate") in told.all()


def test_connections_that_cannot_end_do_not_pile_up() -> None:
    let_go = threading.Event()

    class Stuck(Lines):
        def opened(self, at_s: float) -> Out:
            let_go.wait(10)
            return super().opened(at_s)

    device = Device("camera", ListenAddress(host="127.0.0.1", port=0, most_connections=3), Stuck)
    with supervised(device) as (supervisor, _), ExitStack() as crowd:
        refused = 0
        for _ in range(20):
            connection = crowd.enter_context(connected(supervisor))
            connection.settimeout(0.1)
            try:
                refused += connection.recv(1) == b""
            except TimeoutError:
                continue
        ours = [thread for thread in threading.enumerate() if thread.name.startswith("camera#")]
        let_go.set()
    assert (len(ours), refused) == (6, 14)


def test_orders_go_to_the_connection_made_last_and_to_nobody_where_there_is_none() -> None:
    with supervised(camera()) as (supervisor, told):
        told.wait_for(PortBack("camera"))
        with pytest.raises(OrderNotTaken, match="not connected"):
            supervisor.order("camera", "o1", "trigger")
        with connected(supervisor) as first, connected(supervisor) as second:
            assert first.recv(6) == second.recv(6) == b"hello\n"
            supervisor.order("camera", "o2", "trigger")
            assert second.recv(100) == b"o2 trigger\n"


def test_one_connection_too_many_pushes_out_the_idlest() -> None:
    with supervised(camera(most_connections=2)) as (supervisor, told), ExitStack() as cameras:
        first, second = (cameras.enter_context(connected(supervisor)) for _ in range(2))
        assert first.recv(6) == second.recv(6) == b"hello\n"
        second.sendall(b"I spoke\n")
        told.wait_for(("camera", "I spoke"))
        first.sendall(b"I speak\n")
        told.wait_for(("camera", "I speak"))
        third = cameras.enter_context(connected(supervisor))
        assert third.recv(6) == b"hello\n"
        assert second.recv(6) == b""
        first.sendall(b"still here\n")
        told.wait_for(("camera", "still here"))


def test_a_flood_of_mute_connections_is_bounded_and_spares_the_device() -> None:
    with supervised(camera(most_connections=4)) as (supervisor, told), ExitStack() as crowd:
        told.wait_for(PortBack("camera"))
        device = crowd.enter_context(connected(supervisor))
        device.sendall(b"plate 1\n")
        told.wait_for(("camera", "plate 1"))
        for _ in range(60):
            crowd.enter_context(connected(supervisor))
        ours = [thread for thread in threading.enumerate() if thread.name.startswith("camera#")]
        assert len(ours) <= 2 * 4 + 1  # one may be about to end
        device.sendall(b"plate 2\n")
        told.wait_for(("camera", "plate 2"))


def test_an_idle_connection_is_closed() -> None:
    with supervised(camera(idle_timeout_s=0.2)) as (supervisor, _), connected(supervisor) as connection:
        assert connection.recv(6) == b"hello\n"
        began_s = time.monotonic()
        assert connection.recv(6) == b""
        assert 0.1 < time.monotonic() - began_s < 3.0


def test_a_host_that_is_not_allowed_is_turned_away() -> None:
    with supervised(camera(allowed_hosts=("192.0.2.1",))) as (supervisor, told):
        with connected(supervisor) as connection:
            assert connection.recv(6) == b""
        assert told.all() == [PortBack("camera")]


def test_a_driver_that_raises_on_one_connection_is_reported_and_the_others_go_on() -> None:
    with supervised(camera()) as (supervisor, told), ExitStack() as cameras:
        bad, good = (cameras.enter_context(connected(supervisor)) for _ in range(2))
        assert good.recv(6) == bad.recv(6) == b"hello\n"
        bad.sendall(b"!\n")
        assert bad.recv(6) == b""
        why = "camera: its driver raised ZeroDivisionError('a fault in the driver')"
        said = told.wait_for(PortBack("camera"), times=2)
        assert said == [PortBack("camera"), PortLost("camera", why), PortBack("camera")]
        good.sendall(b"plate\n")
        told.wait_for(("camera", "plate"))


def test_an_address_in_use_is_reported_and_taken_when_it_is_free() -> None:
    with ExitStack() as supervision:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            supervisor, told = supervision.enter_context(supervised(camera(port=port)))
            told.wait_for(
                PortLost("camera", f"cannot listen on 127.0.0.1 port {port}: Address already in use")
            )
        told.wait_for(PortBack("camera"))
        assert supervisor.bound_port("camera") == port


# --- the supervisor ---


def test_back_off_is_at_once_then_doubling(tmp_path: Path) -> None:
    tries: list[float] = []

    def make() -> Lines:
        tries.append(time.monotonic())
        raise KeyError("never")

    device = Device("scale", SerialAddress(url=str(tmp_path / "none")), make)
    with supervised(device, back_off=BackOff(second_after_s=0.1, longest_s=0.4)):
        time.sleep(1.6)
    gaps = [after - before for before, after in pairwise(tries)]
    expected = [0.0, 0.1, 0.2, 0.4, 0.4]
    assert len(gaps) >= 4
    for gap, wanted in zip(gaps, expected, strict=False):
        assert wanted <= gap < wanted + 0.2


def test_a_port_that_speaks_and_dies_again_and_again_is_not_reopened_in_a_tight_circle() -> None:
    with serial_server() as server:
        accepted: list[float] = []
        stop = threading.Event()

        def flap() -> None:
            server.settimeout(0.1)
            while not stop.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                accepted.append(time.monotonic())
                with connection:
                    connection.sendall(b"12 kg\n")

        thread = threading.Thread(target=flap)
        thread.start()
        with supervised(at_server(server), back_off=BackOff(second_after_s=0.2, longest_s=1.0)):
            time.sleep(1.2)
        stop.set()
        thread.join()
    assert 2 <= len(accepted) <= 8


def test_an_order_for_an_unknown_device_names_the_known_ones(tmp_path: Path) -> None:
    known = supervised(scale_at(tmp_path / "scale"))
    unknown = pytest.raises(OrderNotTaken, match="barrier: no such device; there are scale")
    with known as (supervisor, _), unknown:
        supervisor.order("barrier", "o1", "up")


def test_one_broken_device_does_not_touch_another(tmp_path: Path) -> None:
    with plugged(tmp_path / "a") as a, plugged(tmp_path / "b") as b:
        devices = [Device(pty.link.name, SerialAddress(url=str(pty.link)), Lines) for pty in (a, b)]
        with supervised(*devices) as (_, told):
            told.wait(lambda said: len(said) == 2)
            for number in range(20):
                a.say(b"!\n")
                b.say(f"{number}\n".encode())
            told.wait_for(("b", "19"))
            assert [each[1] for each in told.all() if isinstance(each, tuple)] == [str(n) for n in range(20)]


def test_no_thread_and_no_descriptor_is_left_behind(tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    with plugged(tmp_path / "scale") as pty:
        threads, before = threading.active_count(), descriptors()
        for _ in range(3):
            with supervised(scale_at(pty.link), camera(), scale2_at(tmp_path)) as (supervisor, told):
                told.wait_for(PortBack("scale"))
                with connected(supervisor) as connection:
                    assert connection.recv(6) == b"hello\n"
        assert (threading.active_count(), descriptors()) == (threads, before)


def scale2_at(folder: Path) -> Device[str, str]:
    return Device("missing", SerialAddress(url=str(folder / "missing")), Lines)
