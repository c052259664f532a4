"""Live on the console, before a real endpoint and a handheld that shows: pictures as MJPEG, sound when it is
asked for, kept when it is marked, and everything under the officer's number."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from bench.live_rig import DEVICE, OFFICER, Endpoint, Handheld, MovingPicture
from edge.handheld.live.g711 import from_a_law, from_mu_law
from sync.hub.archive import Archive
from sync.hub.blob_files import BlobFiles
from sync.hub.console.context import Console
from sync.hub.console.live_rooms import pcm_of, recordings
from sync.hub.console.settings import ConsolePart
from sync.hub.console.words import WORDS
from sync.hub.receiver import Receiver
from sync.hub.terms import Limits
from sync.link.keys import KeySigner
from sync.link.live_wire import Codec
from sync.store.journal import utc_now
from sync.vocabulary.facts import CommandTaken, PassageClosed, PassageOpened, PictureMissed, PictureTaken
from tests.console_rig import (
    OFFICERS,
    PASSWORD,
    SCOPE,
    ConsoleRig,
    console_rig,
    open_account,
    rostered,
)

JPEG = b"\xff\xd8\xff\xe0 a lane \xff\xd9"


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    with Endpoint(tmp_path) as made:
        yield made


@pytest.fixture
def rig(endpoint: Endpoint) -> Iterator[ConsoleRig]:
    """A console beside that endpoint, with its archive and its key."""
    folder = endpoint.folder / "data"
    part = ConsolePart(port=0, shown_file=folder / "shown.sqlite", live_folder=folder / "live")
    archive = Archive.open(endpoint.config.archive)
    with archive.transaction():
        archive.add_scope(SCOPE)
    console = Console(endpoint.config, part)
    receiver = Receiver(archive, KeySigner(endpoint.hub_key, "hub"), site="s1", limits=Limits())
    made = ConsoleRig(folder, console, archive, receiver)
    for number, roles in OFFICERS.items():
        made.record("officers", number, rostered(number))
        open_account(archive, number, roles)
    made.caught_up()
    yield made
    console.close()
    archive.close()


def signed_in(address: str, officer: str = "4604002") -> httpx2.Client:
    client = httpx2.Client(base_url=address, timeout=10.0, headers={"accept": "text/html"})
    client.cookies.set("kakou_language", "en", domain="127.0.0.1")
    assert client.post("/sign-in", data={"officer": officer, "password": PASSWORD}).status_code == 303
    (client.headers["x-kakou-token"],) = re.findall(r'data-csrf="([^"]+)"', client.get("/live").text)
    return client


def until(met: Callable[[], Any]) -> Any:
    end_s = time.monotonic() + 10.0
    while not (got := met()):
        assert time.monotonic() < end_s, "not in time"
        time.sleep(0.03)
    return got


def some_pictures(client: httpx2.Client, count: int) -> list[bytes]:
    """As a browser takes them: by length, between boundaries."""
    found: list[bytes] = []
    data = b""
    with client.stream("GET", f"/live/{DEVICE}/pictures") as answer:
        assert answer.headers["content-type"].startswith("multipart/x-mixed-replace")
        for piece in answer.iter_bytes():
            data += piece
            while (
                head := re.match(rb"--kakou-picture\r\n.*?Content-Length: (\d+)\r\n\r\n", data, re.DOTALL)
            ) and len(data) >= head.end() + int(head[1]) + 2:
                found.append(data[head.end() : head.end() + int(head[1])])
                data = data[head.end() + int(head[1]) + 2 :]
            if len(found) >= count:
                return found
    raise AssertionError(f"{len(found)} pictures came")


def acts(rig: ConsoleRig) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(each.act, each.subject, each.officers) for each in rig.archive.acts(20) if "live" in each.act]


def test_what_an_officer_shows_is_seen_heard_on_request_and_kept_when_marked(
    rig: ConsoleRig, endpoint: Endpoint
) -> None:
    small = MovingPicture(160, 128)
    with rig.served() as address, Handheld(endpoint, may_be_recorded=True, pictures=small) as handheld:
        client = signed_in(address)
        until(lambda: DEVICE in client.get("/live").text)
        assert client.post(f"/live/{DEVICE}/watch", data={"reason": "pallet 7"}).status_code == 303
        pictures = some_pictures(client, 3)
        assert [each[:3] for each in pictures] == [b"\xff\xd8\xff"] * 3
        assert len(set(pictures)) > 1
        until(lambda: any("4604002" in flow.watchers for _, flow in handheld.flows))
        # Nobody asked for sound, and none was given.
        assert acts(rig) == [("live_watch", DEVICE, ("4604002",))]
        first = client.get(f"/live/{DEVICE}/sound?after=-1")
        assert (first.content, acts(rig)[0][0]) == (b"", "live_sound")
        after, heard = first.headers["x-kakou-next"], b""
        while len(heard) < 16_000:
            more = client.get(f"/live/{DEVICE}/sound?after={after}")
            after, heard = more.headers["x-kakou-next"], heard + more.content
        spectrum = np.abs(np.fft.rfft(np.frombuffer(heard[:16_000], "<i2").astype(float)))
        assert abs(int(np.argmax(spectrum)) - 440) < 10
        # Kept only from here on, and the handheld says so.
        assert not any(flow.is_recorded for _, flow in handheld.flows)
        assert client.post(f"/live/{DEVICE}/keep", data={"reason": "pallet 7"}).status_code == 303
        until(lambda: handheld.flows[-1][1].is_recorded)
        assert WORDS["live.keeping"][1] in client.get(f"/live/{DEVICE}").text
        some_pictures(client, 4)
        assert client.post(f"/live/{DEVICE}/keep-no-more").status_code == 303
        until(lambda: not handheld.flows[-1][1].is_recorded)
        (kept,) = until(lambda: [each for each in recordings(rig.archive, 9) if each.ended_utc])
        assert (kept.shown_by, kept.kept_by) == (OFFICER, "4604002")
        recording = client.get(f"/live-kept/{kept.name}")
        assert recording.headers["cache-control"] == "no-store"
        content = recording.content
        assert (content[:4], len(content)) == (b"RIFF", kept.size_bytes)
        row = client.get("/live").text.partition(kept.name)[2].partition("</tr>")[0]
        assert f'<td class="n">{len(content) / 1e6:.1f} MB</td>' in row
        assert f"<small>{hashlib.sha256(content).hexdigest()[:16]}</small>" in row
        assert hashlib.sha256(content).hexdigest() == kept.sha256
        assert client.get("/live-kept/..%2Fhub.toml").status_code == 404
        # Who only watched leaves; the session goes on.
        assert client.post(f"/live/{DEVICE}/leave").status_code == 303
        until(lambda: handheld.flows[-1][1].watchers == ())
        assert handheld.closed is None
        client.close()
    kinds = [act for act, _, _ in acts(rig)]
    assert kinds == ["live_kept", "live_keep", "live_sound", "live_watch"]


def test_the_list_of_what_is_shown_follows_who_begins_watches_keeps_and_ends(
    rig: ConsoleRig, endpoint: Endpoint
) -> None:
    small = MovingPicture(160, 128)
    with rig.served() as address:
        client, second = signed_in(address), signed_in(address, "4604001")
        assert WORDS["live.nobody"][1] in client.get("/live/now").text
        with Handheld(endpoint, may_be_recorded=True, pictures=small):
            until(lambda: f'action="/live/{DEVICE}/watch"' in client.get("/live/now").text)
            # Two watch the same, each for themselves.
            for each in (client, second):
                assert each.post(f"/live/{DEVICE}/watch", data={"reason": "pallet 7"}).status_code == 303
                assert len(some_pictures(each, 2)) == 2
            listed = until(lambda: re.findall(r"<td>(4604\d+, 4604\d+)</td>", client.get("/live/now").text))
            assert sorted(listed[0].split(", ")) == ["4604001", "4604002"]
            assert client.post(f"/live/{DEVICE}/keep", data={"reason": "pallet 7"}).status_code == 303
            until(lambda: f"● {WORDS['live.not_ended'][1]}" in second.get("/live/now").text)
            assert client.post(f"/live/{DEVICE}/leave").status_code == 303
            # The other one's goes on.
            until(lambda: "<td>4604001</td>" in second.get("/live/now").text)
            assert len(some_pictures(second, 3)) == 3
        until(lambda: WORDS["live.nobody"][1] in client.get("/live/now").text)
        client.close()
        second.close()


def test_what_cannot_be_kept_any_more_says_so(
    rig: ConsoleRig, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sync.hub.console.live_rooms.SavedLive", full)
    with (
        rig.served() as address,
        Handheld(endpoint, may_be_recorded=True, pictures=MovingPicture(160, 128)),
    ):
        client = signed_in(address)
        until(lambda: DEVICE in client.get("/live/now").text)
        client.post(f"/live/{DEVICE}/watch", data={"reason": "x"})
        some_pictures(client, 1)
        assert client.post(f"/live/{DEVICE}/keep", data={"reason": "x"}).status_code == 303
        begins = WORDS["live.keep_failed"][1].split("{")[0]
        said = until(lambda: re.findall(f"{begins}([^<]+)<", client.get(f"/live/{DEVICE}/state").text))
        assert "No space left" in said[0]
        client.close()


def test_nobody_watches_any_more_when_no_browser_takes_a_picture(
    rig: ConsoleRig, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.hub.console.live_rooms.UNSEEN_S", 0.5)
    small = MovingPicture(160, 128)
    with rig.served() as address, Handheld(endpoint, may_be_recorded=True, pictures=small) as handheld:
        client = signed_in(address)
        until(lambda: DEVICE in client.get("/live").text)
        assert client.post(f"/live/{DEVICE}/watch", data={"reason": " \t"}).status_code == 422
        assert client.post(f"/live/{DEVICE}/watch", data={"reason": "pallet 7"}).status_code == 303
        some_pictures(client, 1)
        until(lambda: any("4604002" in flow.watchers for _, flow in handheld.flows))
        until(lambda: handheld.flows[-1][1].watchers == ())
        client.close()
    assert acts(rig) == [("live_watch", DEVICE, ("4604002",))]


def test_what_the_officer_did_not_allow_is_not_kept(rig: ConsoleRig, endpoint: Endpoint) -> None:
    small = MovingPicture(160, 128)
    with rig.served() as address, Handheld(endpoint, may_be_recorded=False, pictures=small) as handheld:
        client = signed_in(address)
        until(lambda: DEVICE in client.get("/live").text)
        client.post(f"/live/{DEVICE}/watch", data={"reason": "x"})
        some_pictures(client, 1)
        answer = client.post(f"/live/{DEVICE}/keep", data={"reason": "x"})
        assert (answer.status_code, WORDS["live.may_not_be_kept"][1] in answer.text) == (409, True)
        assert not any(flow.is_recorded for _, flow in handheld.flows)
        # Signed out, nobody watches any more.
        client.post("/sign-out")
        until(lambda: handheld.flows[-1][1].watchers == ())
        client.close()


def test_asking_is_a_command_under_the_officers_number_with_sound_only_when_wished(
    rig: ConsoleRig, endpoint: Endpoint
) -> None:
    client = rig.client("4604002")
    answer = client.post(f"/live/{DEVICE}/ask", data={"reason": "看7号托盘", "minutes": "2"})
    assert answer.status_code == 303
    (row,) = rig.archive.last_commands(9)
    assert (row.device, row.officers, row.reason) == (DEVICE, ("4604002",), "看7号托盘")
    assert '"sound":false' in row.body
    assert '"record":true' not in row.body
    assert WORDS["live.asked.waiting"][1].replace("'", "&#39;") in client.get(f"/live/{DEVICE}").text
    # No picture is fetched before there is one: the page would never have loaded.
    assert 'id="live"' not in client.get(f"/live/{DEVICE}").text
    # How far the request is, is said as it goes.
    for state in ("accepted", "done"):
        rig.archive.settle_command(row.command_id, DEVICE, state, "", utc_now())
        said = WORDS[f"live.asked.{state}"][1].replace("'", "&#39;")
        until(lambda said=said: said in client.get(f"/live/{DEVICE}/state").text)  # type: ignore[misc]
    assert client.post(f"/live/{DEVICE}/ask", data={"reason": "again", "minutes": "2"}).status_code == 303
    row = next(each for each in rig.archive.last_commands(9) if each.reason == "again")
    rig.archive.settle_command(row.command_id, DEVICE, "refused", "the officer said no", utc_now())
    until(lambda: "the officer said no" in client.get(f"/live/{DEVICE}").text)
    assert client.post("/live/nobody/ask", data={"reason": "x"}).status_code == 409
    watcher = rig.client("4604003")
    assert [watcher.get(path).status_code for path in ("/live", f"/live/{DEVICE}")] == [403, 403]
    assert watcher.post(f"/live/{DEVICE}/ask", data={"reason": "x"}).status_code == 403


@pytest.mark.parametrize("language", ["zh", "en"])
def test_lanes_show_their_latest_pictures_and_say_what_is_not_possible(tmp_path: Path, language: str) -> None:
    sha = hashlib.sha256(JPEG).hexdigest()
    with console_rig(tmp_path) as rig:
        taken = PictureTaken(passage=1, moment="arrival", camera="front", sha256=sha, size_bytes=len(JPEG))
        rig.say("lane-in", PassageOpened(passage=1), taken, taken, PassageOpened(passage=2))
        rig.device("handheld-7")
        rig.device("xray-7")
        rig.caught_up()
        files = BlobFiles(rig.console.config.blobs.folder)
        files.open()
        files.add("lane-in", sha, 0, JPEG)
        files.complete("lane-in", sha, len(JPEG))
        with rig.archive.transaction():
            rig.archive.store_blob(sha, utc_now())
        text = rig.client(language=language).get("/live").text
        number = 0 if language == "zh" else 1
        assert text.count(f"""<img src="/desk/hold/lane-in/{"e" * 32}/1/picture/{sha}\"""") == 1
        assert WORDS["live.lanes_note"][number].replace("'", "&#39;") in text
        assert WORDS["live.off"][number] in text
        assert "handheld-7" not in text
        assert "xray-7" not in text
        assert not re.findall(r"[>\s](?:live|desk|nav)\.[a-z_.]+[<\s]", text)


def lane_picture(rig: ConsoleRig, content: bytes, *, moment: str, passage: int = 1) -> str:
    """Told, and its blob is here."""
    sha = hashlib.sha256(content).hexdigest()
    rig.say(
        "lane-in",
        PictureTaken(passage=passage, moment=moment, camera="front", sha256=sha, size_bytes=len(content)),
    )
    files = BlobFiles(rig.console.config.blobs.folder)
    files.open()
    files.add("lane-in", sha, 0, content)
    files.complete("lane-in", sha, len(content))
    with rig.archive.transaction():
        rig.archive.store_blob(sha, utc_now())
    rig.caught_up()
    return sha


EPOCH = "e" * 32
TAKE = f"/live/lane/lane-in/{EPOCH}/1/pictures"


def test_of_the_vehicle_in_a_lane_a_picture_is_asked_for_and_appears(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        rig.say("lane-in", PassageOpened(passage=1))
        rig.caught_up()
        client = rig.client("4604002")
        page = client.get("/live").text
        assert f'<button form="ask-lane" formaction="{TAKE}">{WORDS["desk.take_pictures"][1]}' in page
        assert page.index('id="ask-lane"') < page.index('data-follow="/live/lanes"')
        assert client.post(TAKE, data={"reason": "who is it"}).status_code == 303
        (row,) = rig.archive.last_commands(9)
        assert (row.device, row.body, row.officers, row.reason) == (
            "lane-in",
            '{"type":"take_pictures","passage":1}',
            ("4604002",),
            "who is it",
        )
        lanes = client.get("/live/lanes").text
        assert f'4604002 · who is it · <span class="">{WORDS["desk.state.waiting"][1]}' in lanes
        again = client.post(TAKE, data={"reason": "once more"})
        assert (again.status_code, WORDS["desk.pictures_given"][1] in again.text) == (409, True)
        assert 'value="once more"' in again.text
        rig.archive.settle_command(row.command_id, "lane-in", "done", "asked: front, rear", utc_now())
        rig.say(
            "lane-in",
            PictureMissed(passage=1, moment="asked", camera="rear", why="no picture yet"),
            CommandTaken(command_id=row.command_id, kind="take_pictures", passage=1, outcome="done"),
            PictureMissed(passage=1, moment="asked", camera="rear", why="its process has ended"),
            PictureMissed(passage=1, moment="ruling", camera="side", why="no picture"),
        )
        sha = lane_picture(rig, JPEG, moment="asked")
        lanes = client.get("/live/lanes").text
        assert f'<span class="green">{WORDS["desk.state.done"][1]}</span> · asked: front, rear' in lanes
        assert f'<img src="/desk/hold/lane-in/{EPOCH}/1/picture/{sha}"' in lanes
        assert f"{WORDS['desk.moment.asked'][1]} · front" in lanes
        assert "its process has ended" in lanes
        assert "no picture yet" not in lanes
        assert "side" not in lanes
        # Kept with the passage's other steps: whoever has it at the desk later reads it there.
        assert "who is it" in rig.client().get(f"/desk/hold/lane-in/{EPOCH}/1").text


def test_a_picture_that_has_come_is_pushed_without_a_fact(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        rig.say("lane-in", PassageOpened(passage=1))
        sha = hashlib.sha256(JPEG).hexdigest()
        rig.say(
            "lane-in",
            PictureTaken(passage=1, moment="asked", camera="front", sha256=sha, size_bytes=len(JPEG)),
        )
        with rig.served():
            pulse = rig.console.pulse
            time.sleep(1.2)
            before = pulse.number
            time.sleep(1.2)
            assert pulse.number == before
            with rig.archive.transaction():
                rig.archive.store_blob(sha, utc_now())
            until(lambda: pulse.number > before)


def test_who_has_left_or_was_there_before_is_not_pictured(tmp_path: Path) -> None:
    """S5: a lane knows numbers alone."""
    with console_rig(tmp_path) as rig:
        rig.say("lane-in", PassageOpened(passage=1), PassageOpened(passage=2))
        rig.caught_up()
        client = rig.client("4604002")
        answer = client.post(TAKE, data={"reason": "who is it"})
        assert (answer.status_code, WORDS["desk.not_inside"][1] in answer.text) == (409, True)
        assert client.post(TAKE.replace(EPOCH, "f" * 32), data={"reason": "x"}).status_code == 409
        rig.say("lane-in", PassageClosed(passage=2, outcome="crossed", lane_s=9.0))
        rig.caught_up()
        second = TAKE.replace("/1/", "/2/")
        assert client.post(second, data={"reason": "who is it"}).status_code == 409
        assert second not in client.get("/live/lanes").text
        assert rig.archive.last_commands(9) == ()


def test_who_may_not_watch_asks_for_no_picture_and_nobody_does_without_the_pages_token(
    tmp_path: Path,
) -> None:
    with console_rig(tmp_path) as rig:
        rig.say("lane-in", PassageOpened(passage=1))
        rig.caught_up()
        assert rig.client("4604003").post(TAKE, data={"reason": "x"}).status_code == 403
        client = rig.client("4604002")
        assert client.post(TAKE, data={"reason": " "}).status_code == 422
        del client.headers["x-kakou-token"]
        assert client.post(TAKE, data={"reason": "x"}).status_code == 403
        assert rig.archive.last_commands(9) == ()


@pytest.mark.parametrize(("codec", "reference"), [(Codec.MU_LAW, from_mu_law), (Codec.A_LAW, from_a_law)])
def test_sound_is_decoded_as_the_handheld_does(codec: Codec, reference: Callable[[bytes], object]) -> None:
    codes = bytes(range(256))
    assert list(np.frombuffer(pcm_of(codec, codes), "<i2")) == list(reference(codes))  # type: ignore[call-overload]
