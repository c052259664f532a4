"""A Vzenith plate camera that pushes JSON over HTTP: it calls us. Bytes only; opens no socket.

From the vendor's HTTP push document: results are POSTed to a configured url; a result that gets no answer
is sent again up to four times, then kept and sent later as an offline record (`isoffline` 1); the next
offline record follows only an answer with `ContinuePushOffline.continue` 1; new results come first; an
answer with `info` "ok" closes the output wired to the barrier. Heartbeats are multipart form posts; only
comet mode obeys answers to them.
"""

from __future__ import annotations

import base64
import json
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hardware_sims.barrier import NEVER
from hardware_sims.faults import Fault, FaultKind, FaultyLine
from hardware_sims.physics import CameraView, LanePhysics

RECOGNISE_S = 0.35
ANSWER_WITHIN_S = 5.0
RETRY_S = 1.0
RESENDS = 4
OFFLINE_KEPT = 9_000
OFFLINE_PAUSE_S = 2.0
"""Between offline records when an answer did not ask for the next one."""
OPEN_PULSE_S = 0.5
STORM_COPIES = 30
"""So often a clone says one result again in a storm, whatever the answers were."""
DRIBBLE_BYTES = 16
DRIBBLE_S = 1.0
"""A dribbling camera sends so many bytes so often."""
REPEAT_S = 5.0
"""A stuck camera says its last result again so often."""
NO_PLATE = "_无_"
MAX_ANSWER = 64 * 1024

_ONE_CODE = bytes([1] + [0] * 15) + b"\x00"
PICTURE = (
    b"\xff\xd8\xff\xdb\x00\x43\x00"
    + bytes([1]) * 64
    + b"\xff\xc0\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00"
    + (b"\xff\xc4\x00\x14\x00" + _ONE_CODE)
    + (b"\xff\xc4\x00\x14\x10" + _ONE_CODE)
    + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x3f\xff\xd9"
)
"""A whole baseline JPEG: one grey block of 8 x 8."""
PictureOf = Callable[[str | None], bytes]
"""The JPEG a camera takes of a vehicle with this plate, or without one."""


def grey(plate: str | None) -> bytes:
    """Nothing is to be seen on it: for those who look at no picture."""
    return PICTURE


def taken(picture: bytes, line: FaultyLine, chance: random.Random) -> bytes:
    """As it leaves the camera: whole, or cut where it has that fault."""
    if not line.has(FaultKind.CUT_PICTURE):
        return picture
    return picture[: chance.randrange(4, len(picture) - 1)]


_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"


@dataclass(slots=True)
class _Result:
    plate_id: int
    license: str
    confidence: int
    at_s: float
    trigger: int
    before_lens: str | None = None
    """The plate that is there, whatever was made of it."""
    offline: bool = False
    sent: int = 0
    taken: int = 0
    """How often it was answered well."""


def plate_alarm(
    *,
    license_text: str,
    plate_id: int,
    confidence: int,
    unix_s: float,
    serial_no: str,
    offline: bool = False,
    trigger_type: int = 4,
    picture: bytes = PICTURE,
) -> dict[str, Any]:
    """The `AlarmInfoPlate` document of one result, fields as the push document lists them."""
    usec = round(unix_s * 1_000_000)
    when = datetime.fromtimestamp(unix_s, UTC)
    box = {"bottom": 674, "left": 1002, "right": 1263, "top": 565}
    colour, kind = _plate_kind(license_text)
    encoded = base64.b64encode(picture).decode("ascii")
    return {
        "AlarmInfoPlate": {
            "channel": 0,
            "deviceName": "IVS",
            "ipaddr": "127.0.0.1",
            "result": {
                "PlateResult": {
                    "bright": 0,
                    "carBright": 0,
                    "carColor": 255,
                    "colorType": colour,
                    "colorValue": 0,
                    "confidence": confidence,
                    "direction": 4,
                    "gioouts": [{"ctrltype": 0, "ionum": 0}],
                    "imageFile": encoded,
                    "imageFileLen": len(picture),
                    "imageFragmentFile": "",
                    "imageFragmentFileLen": 0,
                    "is_fake_plate": 0,
                    "isoffline": int(offline),
                    "license": license_text,
                    "location": {"RECT": box},
                    "plateid": plate_id,
                    "timeStamp": {
                        "Timeval": {
                            "decday": when.day,
                            "dechour": when.hour,
                            "decmin": when.minute,
                            "decmon": when.month,
                            "decsec": when.second,
                            "decyear": when.year,
                            "sec": usec // 1_000_000,
                            "usec": usec % 1_000_000,
                        }
                    },
                    "timeUsed": 0,
                    "triggerType": trigger_type,
                    "type": kind,
                }
            },
            "serialno": serial_no,
            "user_data": "",
        }
    }


def _plate_kind(text: str) -> tuple[int, int]:
    """(colorType, type): 0 unknown; 1 blue small, 2 yellow large, 5 green new energy."""
    if text == NO_PLATE:
        return 0, 0
    if len(text) == 8:
        return 5, 19
    return (2, 3) if text.endswith("挂") else (1, 1)


def heartbeat_form(
    serial_no: str, boundary: str = "------------------------caa771fe4a61f3d9"
) -> tuple[str, bytes]:
    """(Content-Type, body) of a registration post."""
    fields = {
        "device_name": "IVS",
        "ipaddr": "127.0.0.1",
        "port": "80",
        "user_name": "admin",
        "pass_wd": "admin",
        "serialno": serial_no,
        "channel_num": "1",
    }
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return f"multipart/form-data; boundary={boundary}", ("".join(parts) + f"--{boundary}--\r\n").encode(
        "ascii"
    )


class PlateCamera:
    """One camera. It calls us: while `calling` is True a connection to its configured address is wanted.

    Whoever performs: on success `connect`, on failure `connect_failed`, when the other end hangs up
    `disconnect`; when `calling` turns False, close the connection and `disconnect`.
    """

    def __init__(
        self,
        physics: LanePhysics,
        *,
        host: str = "127.0.0.1",
        path: str = "/devicemanagement/php/plateresult.php",
        heartbeat_path: str = "/devicemanagement/php/receivedeviceinfo.php",
        heartbeat_s: float = 5.0,
        comet: bool = False,
        serial_no: str = "51ca11e5-00000001",
        unix_of: Callable[[float], float] = lambda at_s: 1_767_225_600.0 + at_s,
        seed: str = "camera",
        picture_of: PictureOf = grey,
    ) -> None:
        self._physics = physics
        self._picture_of = picture_of
        self._host = host
        self._path = path
        self._heartbeat_path = heartbeat_path
        self._heartbeat_s = heartbeat_s
        self._comet = comet
        self._serial_no = serial_no
        self._unix_of = unix_of
        self._random = random.Random(seed)
        self._line = FaultyLine(seed)
        self._results: deque[_Result] = deque()
        self._offline: deque[_Result] = deque()
        self._plate_id = self._random.randrange(1, 60_000)
        self._last: _Result | None = None
        self._connected = False
        self._awaiting: _Result | str | None = None
        self._answer = bytearray()
        self._answer_by_s = NEVER
        self._not_before_s = 0.0
        self._offline_from_s = 0.0
        self._heartbeat_due_s = heartbeat_s or NEVER
        self._repeat_s = NEVER
        self._contact_until_s = NEVER
        self._hang_up = False
        self._now = 0.0

    # --- connection ---

    @property
    def calling(self) -> bool:
        """True while this camera wants its connection open."""
        if self._line.is_deaf or self._hang_up:
            return False
        return self._connected or (self._has_something(self._now) and self._now >= self._not_before_s)

    def connect(self, at_s: float) -> None:
        self._now = at_s
        self._connected = True
        self._answer.clear()
        self._line.clear()

    def connect_failed(self, at_s: float) -> None:
        self._now = at_s
        if self._results:
            self._results[0].sent += 1
            self._keep(self._results[0])
        self._failed(at_s)

    def disconnect(self, at_s: float) -> None:
        self._now = at_s
        self._hang_up = False
        if self._connected and self._awaiting is not None and self._answer:
            self._read_answer(at_s, closed=True)
        self._connected = False
        self._line.clear()
        if self._awaiting is not None:
            self._unanswered(at_s)

    # --- time ---

    def set_fault(self, at_s: float, fault: Fault, on: bool) -> None:
        self._now = at_s
        self._line.set(at_s, fault, on)
        if fault.kind is FaultKind.STUCK:
            self._repeat_s = at_s + REPEAT_S if on else NEVER
        if fault.kind is FaultKind.DEAD:
            if on:
                self._results.clear()
                self._close_contact(at_s, False)
            elif self._heartbeat_s:
                self._heartbeat_due_s = at_s + self._heartbeat_s

    def next_event_s(self) -> float:
        if self._line.is_deaf:
            return NEVER
        due = min(self._line.next_event_s(), self._answer_by_s, self._contact_until_s, self._repeat_s)
        if self._awaiting is not None:
            return due
        wanted = self._heartbeat_due_s
        if self._results:
            wanted = min(wanted, self._results[0].at_s + RECOGNISE_S)
        elif self._offline:
            wanted = min(wanted, self._offline_from_s)
        wanted = max(wanted, self._not_before_s)
        waits_for_others = wanted <= self._now and (self._hang_up or not self._connected)
        return due if waits_for_others else min(due, wanted)

    def advance(self, at_s: float) -> bytes:
        self._now = max(self._now, at_s)
        self._look()
        if self._contact_until_s <= at_s:
            self._close_contact(self._contact_until_s, False)
        while self._repeat_s <= at_s:
            if self._last is not None and not self._line.is_deaf:
                again = _Result(
                    self._last.plate_id,
                    self._last.license,
                    self._last.confidence,
                    self._last.at_s,
                    4,
                    self._last.before_lens,
                )
                self._results.append(again)
            self._repeat_s += REPEAT_S
        if self._answer_by_s <= at_s:
            self._hang_up = True
            self._unanswered(at_s)
        if self._connected and not self._hang_up and self._awaiting is None and at_s >= self._not_before_s:
            self._post_next(at_s)
        ready = self._line.take(at_s)
        return ready if self._connected else b""

    def _look(self) -> None:
        for view in self._physics.take_camera_views():
            if not self._line.is_deaf:
                self._recognise(view)

    def _recognise(self, view: CameraView) -> None:
        text = view.plate
        wrong = self._line.get(FaultKind.WRONG_PLATE)
        if self._line.has(FaultKind.STUCK) and self._last is not None:
            text = self._last.license
        elif wrong is not None and text is not None:
            text = wrong.plate or self._misread(text)
        confidence = self._random.randint(85, 99) if text is not None else 0
        self._plate_id += 1
        result = _Result(
            self._plate_id,
            NO_PLATE if text is None else text,
            confidence,
            view.at_s,
            8 if view.by_hand else 4,
            view.plate,
        )
        if text is not None:
            self._last = result
        self._results.append(result)

    def _misread(self, text: str) -> str:
        place = self._random.randrange(2, len(text)) if len(text) > 2 else 0
        other = self._random.choice(
            [letter for letter in _LETTERS if letter != text[place] and letter not in "IO"]
        )
        return text[:place] + other + text[place + 1 :]

    # --- posting ---

    def _has_something(self, at_s: float) -> bool:
        if self._results:
            return at_s >= self._results[0].at_s + RECOGNISE_S
        return at_s >= self._heartbeat_due_s or (bool(self._offline) and at_s >= self._offline_from_s)

    def _post_next(self, at_s: float) -> None:
        if self._results and at_s >= self._results[0].at_s + RECOGNISE_S:
            self._post_result(at_s, self._results[0])
        elif at_s >= self._heartbeat_due_s:
            kind, body = heartbeat_form(self._serial_no)
            self._heartbeat_due_s = NEVER
            self._post(at_s, self._heartbeat_path, kind, body, "heartbeat")
        elif not self._results and self._offline and at_s >= self._offline_from_s:
            self._post_result(at_s, self._offline[0])

    def _post_result(self, at_s: float, result: _Result) -> None:
        result.sent += 1
        document = plate_alarm(
            license_text=result.license,
            plate_id=result.plate_id,
            confidence=result.confidence,
            unix_s=self._unix_of(result.at_s),
            serial_no=self._serial_no,
            offline=result.offline,
            trigger_type=result.trigger,
            picture=taken(self._picture_of(result.before_lens), self._line, self._random),
        )
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        if self._line.has(FaultKind.MALFORMED):
            body = body[: self._random.randrange(len(body))]
        self._post(at_s, self._path, "application/json", body, result)

    def _post(self, at_s: float, path: str, kind: str, body: bytes, what: _Result | str) -> None:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nUser-Agent: IVS\r\nContent-Type: {kind}\r\n"
            f"Connection: keep-alive\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._answer.clear()
        self._awaiting = what
        self._answer_by_s = at_s + ANSWER_WITHIN_S
        whole = head.encode("ascii") + body
        if not self._line.has(FaultKind.SLOW_LORIS):
            self._line.send(at_s, whole)
            return
        self._answer_by_s = NEVER
        for count, at in enumerate(range(0, len(whole), DRIBBLE_BYTES)):
            self._line.send(at_s + count * DRIBBLE_S, whole[at : at + DRIBBLE_BYTES])

    # --- answers ---

    def receive(self, at_s: float, data: bytes) -> None:
        self._now = max(self._now, at_s)
        self._answer += self._line.heard(data)
        if self._awaiting is None or len(self._answer) > MAX_ANSWER:
            self._answer.clear()
            return
        self._read_answer(at_s, closed=False)

    def _read_answer(self, at_s: float, *, closed: bool) -> None:
        head, blank, body = bytes(self._answer).partition(b"\r\n\r\n")
        if not blank:
            return
        status, *lines = head.decode("latin-1").split("\r\n")
        fields = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }
        length = fields.get("content-length", "")
        if length.isdecimal() and len(length) < 10:
            if len(body) < int(length):
                return
            body = body[: int(length)]
        elif not closed:
            return
        words = status.split(" ", 2)
        self._answer.clear()
        good = words[0].startswith("HTTP/1.") and len(words) > 1 and words[1].startswith("2")
        if fields.get("connection", "").lower() == "close" and not closed:
            self._hang_up = True
        if good:
            self._answered(at_s, body)
        else:
            self._unanswered(at_s)

    def _answered(self, at_s: float, body: bytes) -> None:
        what, self._awaiting, self._answer_by_s = self._awaiting, None, NEVER
        orders = _orders(body)
        if not isinstance(what, _Result):
            self._heartbeat_due_s = at_s + (1.0 if self._comet else self._heartbeat_s)
            if self._comet:
                self._obey(at_s, orders)
            return
        what.taken += 1
        if self._line.has(FaultKind.STORM) and what.taken <= STORM_COPIES:
            self._obey(at_s, orders)
            return
        more = orders.get("ContinuePushOffline")
        if what.offline:
            if self._offline and self._offline[0] is what:
                self._offline.popleft()
            wanted = isinstance(more, dict) and more.get("continue") == 1
            self._offline_from_s = at_s if wanted else at_s + OFFLINE_PAUSE_S
        elif self._results and self._results[0] is what:
            self._results.popleft()
        self._obey(at_s, orders)

    def _unanswered(self, at_s: float) -> None:
        what, self._awaiting, self._answer_by_s = self._awaiting, None, NEVER
        self._answer.clear()
        if isinstance(what, _Result):
            self._keep(what)
        elif what is not None:
            self._heartbeat_due_s = at_s + RETRY_S
        self._failed(at_s)

    def _failed(self, at_s: float) -> None:
        self._not_before_s = at_s + RETRY_S
        if self._heartbeat_due_s <= at_s:
            self._heartbeat_due_s = at_s + RETRY_S

    def _keep(self, result: _Result) -> None:
        """After its resends a result becomes an offline record."""
        if result.offline or result.sent <= RESENDS:
            return
        if self._results and self._results[0] is result:
            self._results.popleft()
        result.offline = True
        self._offline.append(result)
        while len(self._offline) > OFFLINE_KEPT:
            self._offline.popleft()

    def _obey(self, at_s: float, orders: dict[str, Any]) -> None:
        if orders.get("info") == "ok":
            self._pulse(at_s, OPEN_PULSE_S)
        output = orders.get("ivs_ioctrl")
        if isinstance(output, dict) and output.get("io", 0) == 0:
            delay = output.get("delay", 500)
            if output.get("value") == 2 and isinstance(delay, int) and 0 < delay <= 600_000:
                self._pulse(at_s, delay / 1000)
        if orders.get("manualTrigger") == "ok":
            view = self._physics.look(at_s)
            if view is not None:
                self._recognise(view)

    def _pulse(self, at_s: float, for_s: float) -> None:
        self._contact_until_s = at_s + for_s
        self._physics.camera_contact(at_s, True, for_s)

    def _close_contact(self, at_s: float, closed: bool) -> None:
        self._contact_until_s = NEVER
        self._physics.camera_contact(at_s, closed, 0.0)


def _orders(body: bytes) -> dict[str, Any]:
    """What an answer asks for; anything unreadable asks for nothing."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(document, dict):
        return {}
    if document.get("type") == "AVS_TRIGGER":
        return {"manualTrigger": "ok"}
    inner = document.get("Response_AlarmInfoPlate")
    return inner if isinstance(inner, dict) else {}
