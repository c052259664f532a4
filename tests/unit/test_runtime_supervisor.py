"""Back-off and silence, as plain values of time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.devices import driver as shelf
from edge.devices.readings import Order, Reading, ReadTruncated, TagSeen
from edge.runtime.channels import SerialAddress
from edge.runtime.supervisor import BackOff, Device, Hearing

times = st.floats(0, 1000, allow_nan=False)


def test_the_first_try_is_at_once_then_the_wait_doubles_to_its_bound() -> None:
    back_off = BackOff()
    assert [back_off.delay_s(n) for n in range(1, 9)] == [0.0, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_hundred_years_of_failures_still_have_a_wait() -> None:
    assert BackOff().delay_s(10**9) == 5.0


def test_scaled_down_it_is_the_same_shape() -> None:
    back_off = BackOff(second_after_s=0.01, longest_s=0.05)
    assert [back_off.delay_s(n) for n in range(1, 6)] == [0.0, 0.01, 0.02, 0.04, 0.05]


def test_only_a_port_that_held_for_a_while_starts_afresh() -> None:
    back_off = BackOff()
    assert not back_off.forgives(0.0, spoke=False)
    assert not back_off.forgives(4.9, spoke=False)
    assert back_off.forgives(5.0, spoke=False)
    assert not back_off.forgives(0.1, spoke=True)
    assert back_off.forgives(0.2, spoke=True)


def test_a_device_is_silent_when_its_time_is_over_and_is_told_so_once() -> None:
    hearing = Hearing(2.0, 10.0)
    assert (hearing.speaking, hearing.silent, hearing.due_s()) == (False, False, 12.0)
    assert not hearing.overdue(11.999)
    assert hearing.overdue(12.0)
    assert (hearing.speaking, hearing.silent, hearing.due_s()) == (False, True, None)
    assert not hearing.overdue(99.0)
    assert hearing.silent_s(12.5) == 2.5


def test_speech_is_news_at_first_after_silence_and_after_a_loss_only() -> None:
    hearing = Hearing(2.0, 10.0)
    assert [hearing.heard(10.5), hearing.heard(11.0)] == [True, False]
    hearing.lost()
    assert [hearing.heard(11.5), hearing.heard(12.0)] == [True, False]
    assert hearing.overdue(14.0)
    assert [hearing.heard(15.0), hearing.heard(15.5)] == [True, False]


def test_a_lost_port_does_not_stop_the_time_of_silence() -> None:
    hearing = Hearing(2.0, 10.0)
    hearing.heard(11.0)
    hearing.lost()
    assert hearing.due_s() == 13.0


def test_what_speaks_only_when_it_must_is_never_silent() -> None:
    hearing = Hearing(None, 10.0)
    assert hearing.due_s() is None
    assert not hearing.overdue(1e9)


@given(st.floats(0.1, 10), st.lists(times, max_size=20), times)
def test_silence_is_told_exactly_when_nothing_was_heard_for_so_long(
    after_s: float, heard_s: list[float], now_s: float
) -> None:
    hearing = Hearing(after_s, 0.0)
    for at_s in heard_s:
        hearing.heard(at_s)
    assert hearing.overdue(now_s) == (now_s >= max([0.0, *heard_s]) + after_s)


class Reader:
    """As drivers of the shelf are."""

    def opened(self, at_s: float) -> shelf.Output:
        return shelf.NOTHING

    def received(self, at_s: float, data: bytes) -> shelf.Output:
        return shelf.Output((TagSeen(data.hex().upper()),))

    def due(self, at_s: float) -> shelf.Output:
        return shelf.Output((ReadTruncated(b""),))

    def order(self, at_s: float, order_id: str, order: Order) -> shelf.Output:
        return shelf.NOTHING


def test_a_driver_of_the_shelf_is_a_driver_of_the_runtime() -> None:
    def make() -> shelf.Driver:
        return Reader()

    device: Device[Reading, Order] = Device("rfid", SerialAddress(url="COM3"), make)
    output = device.make_driver().received(0.0, b"\x01")
    assert (output.readings, output.send, output.wake_at_s) == ((TagSeen("01"),), b"", None)
    assert (output.hang_up, output.heard) == (False, False)
