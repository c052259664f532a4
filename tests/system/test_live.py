"""实时音视频 through real sockets: a handheld, the hub's endpoint, somebody who watches; lines that are
thin, stalled and cut; programs that are killed; guests nobody asked for."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.live_rig import DEVICE, OFFICER, SITE, Endpoint, Handheld, MovingPicture, Onlooker, until
from bench.slow_line import SlowLine
from edge.devices.fixed_camera.source import SourceLost
from edge.handheld.live.connection import LivePlace
from edge.handheld.live.g711 import from_mu_law
from sync.enrolment.certificates import (
    Usage,
    key_pem,
    make_authority,
    make_certificate,
    make_tls_key,
    pem_of,
)
from sync.hub.config import ConfigRefused
from sync.hub.live_watching import sessions
from sync.link import live_wire as wire
from sync.link.client import BrokerConfig, LinkConfigRefused
from sync.link.keys import KeySigner, make_private
from sync.link.messages import Context
from sync.vocabulary.codec import to_json

pytestmark = pytest.mark.system


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    with Endpoint(tmp_path) as made:
        yield made


@pytest.fixture
def line(endpoint: Endpoint) -> Iterator[SlowLine]:
    made = SlowLine(endpoint.port, bits_a_s=20e6, delay_s=0.01)
    yield made
    made.close()


def _decoded(jpeg: bytes) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return pixels


def test_picture_and_sound_arrive_whole_and_soon(endpoint: Endpoint) -> None:
    with Handheld(endpoint) as handheld, Onlooker(endpoint) as onlooker:
        until(lambda: len(onlooker.pictures) >= 20 and len(onlooker.sounds) >= 30, 10)
        until(lambda: handheld.flow().watchers != (), 5)
        until(lambda: handheld.flow().delay_s > 0, 5)
        delay_s = handheld.flow().delay_s
        columns = {picture.columns for _, picture in onlooker.pictures}
        decoded = [_decoded(picture.jpeg) for _, picture in onlooker.pictures]
        sound = np.concatenate([from_mu_law(each.samples) for _, each in onlooker.sounds])
    assert {each.shape[1] for each in decoded} == columns
    spectrum = np.abs(np.fft.rfft(sound[:8000].astype(float)))
    assert abs(int(np.argmax(spectrum)) * 8000 / len(sound[:8000]) - 440) < 8
    assert [each.seq for _, each in onlooker.sounds] == list(range(len(onlooker.sounds)))
    assert delay_s < 0.25
    assert handheld.closed is not None
    assert (handheld.closed.why, handheld.closed.tally.pictures >= 20) == ("officer", True)


def test_the_camera_is_closed_until_somebody_watches(endpoint: Endpoint) -> None:
    pictures = MovingPicture()
    with Handheld(endpoint, pictures=pictures) as handheld:
        until(lambda: handheld.flow().is_connected, 5)
        time.sleep(0.5)
        unwatched = pictures.is_open
        with Onlooker(endpoint) as onlooker:
            until(lambda: len(onlooker.pictures) > 2, 5)
            watched = pictures.is_open
    assert (unwatched, watched, pictures.is_open) == (False, True, False)


def test_a_thin_line_gets_small_pictures_a_stalled_one_none_and_a_wide_one_large_ones_again(
    endpoint: Endpoint, line: SlowLine
) -> None:
    with Handheld(endpoint, port=line.port) as handheld, Onlooker(endpoint) as onlooker:
        until(lambda: handheld.flow().columns >= 640, 12)
        line.bits_a_s = 400e3
        until(lambda: 0 < handheld.flow().columns <= 320, 6)
        time.sleep(2.0)
        thin_a_s, thin_bits_a_s = onlooker.a_s(2.0), handheld.flow().bits_a_s
        line.bits_a_s = 0.0
        time.sleep(1.0)
        before = len(onlooker.pictures)
        time.sleep(1.5)
        stalled = len(onlooker.pictures) - before
        line.bits_a_s = 20e6
        until(lambda: len(onlooker.pictures) >= before + 3, 4)
        until(lambda: handheld.flow().columns >= 640 and onlooker.a_s(1.0) >= 6, 10)
    assert (thin_a_s >= 1.0, thin_bits_a_s < 420e3, stalled) == (True, True, 0)
    assert endpoint.server.desk.counts["too_fast"] == 0


def test_a_cut_cable_is_a_pause(endpoint: Endpoint, line: SlowLine) -> None:
    with Handheld(endpoint, port=line.port) as handheld, Onlooker(endpoint) as onlooker:
        until(lambda: len(onlooker.pictures) > 3, 5)
        line.cut()
        until(lambda: not handheld.flow().is_connected, 5)
        seen = len(onlooker.pictures)
        until(lambda: len(onlooker.pictures) > seen + 3, 10)
    assert onlooker.lost == ""


def test_a_hub_that_dies_is_a_pause_and_the_next_one_takes_over(tmp_path: Path) -> None:
    first = Endpoint(tmp_path)
    with first:
        line = SlowLine(first.port)
        handheld = Handheld(first, port=line.port)
        with contextlib.closing(line), handheld:
            with Onlooker(first) as onlooker:
                until(lambda: len(onlooker.pictures) > 3, 5)
                first.stop()
                until(lambda: not handheld.flow().is_connected, 5)
            with Endpoint(tmp_path, like=first) as second:
                line.leads_to(second.port)
                with Onlooker(second) as later:
                    until(lambda: len(later.pictures) > 3, 15)
    assert handheld.closed is not None
    assert handheld.closed.why == "officer"


SHOWS = """
import sys, time
from pathlib import Path
from bench.live_rig import Endpoint, Handheld
from sync.link.keys import load_private
class Known: pass
known = Known()
known.device_key, known.port = load_private(Path(sys.argv[1])), int(sys.argv[2])
with Handheld(known):
    time.sleep(60)
"""


def test_a_handheld_that_is_killed_leaves_no_session_behind(endpoint: Endpoint, tmp_path: Path) -> None:
    from sync.link.keys import private_pem

    key = tmp_path / "device.key"
    key.write_bytes(private_pem(endpoint.device_key))
    process = subprocess.Popen([sys.executable, "-c", SHOWS, str(key), str(endpoint.port)])
    try:
        with Onlooker(endpoint, wait_s=30.0) as onlooker:
            until(lambda: len(onlooker.pictures) > 3, 20)
            process.send_signal(signal.SIGKILL)
            process.wait()
            # It may come back for a while: whoever watches waits, and is told when it is over.
            assert [each.device for each in sessions(endpoint.config, "4604009")] == [DEVICE]
            with Handheld(endpoint, session="live-after-restart") as handheld:
                until(lambda: handheld.flow().is_connected, 5)
                until(lambda: [w.why for w in onlooker.words if isinstance(w, wire.End)] == ["replaced"], 5)
                assert [each.session for each in sessions(endpoint.config, "4604009")] == [
                    "live-after-restart"
                ]
    finally:
        process.kill()
        process.wait()


def test_a_watcher_that_goes_without_a_word_is_missed_at_once(endpoint: Endpoint) -> None:
    with Handheld(endpoint) as handheld:
        onlooker = Onlooker(endpoint)
        with onlooker:
            until(lambda: len(onlooker.pictures) > 3, 5)
            onlooker.watching.close()
            until(lambda: handheld.flow().watchers == (), 5)
        assert handheld.closed is None


def test_a_camera_that_breaks_ends_the_session_and_says_so(endpoint: Endpoint) -> None:
    class Broken(MovingPicture):
        def newest(self) -> None:
            raise SourceLost("camera: unplugged")

    with Handheld(endpoint, pictures=Broken()) as handheld, Onlooker(endpoint):
        assert handheld.ended.wait(10)
    assert handheld.closed is not None
    assert (handheld.closed.why, handheld.closed.detail) == ("failed", "camera: camera: unplugged")


def test_the_time_limit_ends_it_at_both_ends(endpoint: Endpoint) -> None:
    with Handheld(endpoint, limit_s=1.5) as handheld, Onlooker(endpoint) as onlooker:
        assert handheld.ended.wait(6)
        until(lambda: [w.why for w in onlooker.words if isinstance(w, wire.End)] == ["time"], 5)
    assert handheld.closed is not None
    assert handheld.closed.why == "time"


# --- who may ----------------------------------------------------------------------------------------------


def _raw(endpoint: Endpoint) -> tuple[socket.socket, wire.Greeting]:
    opened = socket.create_connection(("127.0.0.1", endpoint.port), 5)
    opened.settimeout(5)
    decoder = wire.Decoder({wire.Kind.GREETING})
    while not (found := decoder.feed(opened.recv(4096))):
        pass
    assert isinstance(found[0], wire.Greeting)
    return opened, found[0]


def _is_closed(opened: socket.socket) -> bool:
    try:
        while opened.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


ROGUE = {
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "noise": bytes(range(256)) * 64,
    "a length of 4 GB": b"KL\x02\0\xff\xff\xff\xff",
    "a picture before its opening": b"KL\x20\0\0\0\0\x10" + bytes(16),
}


@pytest.mark.parametrize("name", ROGUE)
def test_hostile_bytes_end_their_connection_are_counted_and_disturb_nobody(
    endpoint: Endpoint, name: str
) -> None:
    with Handheld(endpoint), Onlooker(endpoint) as onlooker:
        until(lambda: len(onlooker.pictures) > 3, 5)
        opened, _ = _raw(endpoint)
        with contextlib.closing(opened):
            opened.sendall(ROGUE[name])
            assert _is_closed(opened)
        seen = len(onlooker.pictures)
        until(lambda: len(onlooker.pictures) > seen + 3, 5)
    assert endpoint.server.desk.counts["malformed"] == 1


def test_a_wrong_key_does_not_speak_and_is_counted(endpoint: Endpoint) -> None:
    opened, greeting = _raw(endpoint)
    opening = wire.ShowOpening(
        site=SITE,
        device=DEVICE,
        nonce=greeting.nonce,
        session="stolen-1",
        officer=OFFICER,
        sound=False,
        may_be_recorded=True,
        left_s=60.0,
        began="2026-11-22T06:00:00.000000Z",
    )
    signed = KeySigner(make_private(), DEVICE).sign(Context.LIVE, to_json(opening).decode())
    with contextlib.closing(opened):
        opened.sendall(wire.encode(signed)[0])
        assert _is_closed(opened)
    assert (endpoint.server.desk.counts["forged"], endpoint.server.desk.devices()) == (1, ())


def test_a_revoked_device_is_cut_off_while_it_shows(endpoint: Endpoint) -> None:
    with Handheld(endpoint) as handheld, Onlooker(endpoint) as onlooker:
        until(lambda: len(onlooker.pictures) > 3, 5)
        archive = endpoint.archive()
        with archive.transaction():
            archive.revoke(DEVICE)
        archive.close()
        assert handheld.ended.wait(6)
    assert handheld.closed is not None
    assert handheld.closed.why == "refused"


def test_plain_text_beyond_this_machine_is_refused_unless_told_twice(tmp_path: Path) -> None:
    for told, keys in (
        ("", ["live.allow_plaintext", "live.allow_plaintext_outside_loopback"]),
        ("allow_plaintext = true", ["live.allow_plaintext_outside_loopback"]),
    ):
        with pytest.raises(ConfigRefused) as refused:
            Endpoint(tmp_path, told, host="0.0.0.0")  # noqa: S104
        assert [error.key for error in refused.value.errors] == keys
    Endpoint(
        tmp_path,
        "allow_plaintext = true\nallow_plaintext_outside_loopback = true",
        host="0.0.0.0",  # noqa: S104
    )
    with pytest.raises(LinkConfigRefused):
        LivePlace(address=BrokerConfig(host="10.1.2.3", port=8884)).checked()


class Certificates:
    """Of a site, as `kakou enrol` makes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = make_tls_key()
        self._now = datetime.now(UTC)
        self._authority = make_authority(self._key, SITE, self._now, 30)
        (folder / "ca.pem").write_bytes(pem_of(self._authority))

    def make(self, name: str, usage: Usage = Usage.CLIENT) -> None:
        key = make_tls_key()
        made = make_certificate(
            self._key, self._authority, key.public_key(), SITE, name, usage, ["127.0.0.1"], self._now, 20
        )
        (self.folder / f"{name}.pem").write_bytes(pem_of(made))
        (self.folder / f"{name}.key").write_bytes(key_pem(key))
        (self.folder / f"{name}.key").chmod(0o600)


def test_over_tls_a_device_speaks_only_with_its_own_certificate_and_its_own_key(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    certificates.make("server", Usage.SERVER)
    for name in (DEVICE, "hand-2", "hub"):
        certificates.make(name)
    part = 'ca_file = "ca.pem"\ncertificate_file = "server.pem"\ntls_key_file = "server.key"'
    sync = 'ca_file = "ca.pem"\ncertificate_file = "hub.pem"\ntls_key_file = "hub.tls"'
    (tmp_path / "hub.tls").write_bytes((tmp_path / "hub.key").read_bytes())
    (tmp_path / "hub.tls").chmod(0o600)
    with Endpoint(tmp_path, part, sync=sync) as endpoint:

        def address(name: str | None) -> BrokerConfig:
            own = {} if name is None else {"cert_file": f"{name}.pem", "key_file": f"{name}.key"}
            return BrokerConfig(
                host="127.0.0.1",
                port=endpoint.port,
                ca_file=tmp_path / "ca.pem",
                **{key: tmp_path / value for key, value in own.items()},  # type: ignore[arg-type]
            )

        with Handheld(endpoint, address=address(DEVICE)) as handheld, Onlooker(endpoint) as onlooker:
            until(lambda: len(onlooker.pictures) > 3, 10)
        assert handheld.closed is not None
        assert handheld.closed.why == "officer"
        with Handheld(endpoint, address=address("hand-2")) as other:
            assert other.ended.wait(8)
        assert other.closed is not None
        assert (other.closed.why, other.closed.detail) == ("refused", "forged")
        with Handheld(endpoint, address=address(None)) as bare:
            until(lambda: endpoint.server.desk.counts["handshake"] >= 1, 8)
        assert bare.flow().is_connected is False
        plain = socket.create_connection(("127.0.0.1", endpoint.port), 5)
        plain.settimeout(8)
        with contextlib.closing(plain):
            plain.sendall(b"KL\x02\0\0\0\0\0")
            assert _is_closed(plain)


def test_a_hub_of_another_authority_is_not_spoken_to(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
        made = Certificates(folder)
        made.make("server", Usage.SERVER)
        made.make(DEVICE)
    part = 'ca_file = "ca.pem"\ncertificate_file = "server.pem"\ntls_key_file = "server.key"'
    with Endpoint(theirs, part) as endpoint:
        address = BrokerConfig(
            host="127.0.0.1",
            port=endpoint.port,
            ca_file=ours / "ca.pem",
            cert_file=ours / f"{DEVICE}.pem",
            key_file=ours / f"{DEVICE}.key",
        )
        with Handheld(endpoint, address=address) as handheld:
            assert handheld.ended.wait(8)
    assert handheld.closed is not None
    assert handheld.closed.why == "refused"
    assert "authority" in handheld.closed.detail
