"""Officers at an X-ray station's desks who look well and follow a script: the judgement contract over HTTP.

They see what a desk is shown and nothing else: by the waybill on the screen they know what the picture would
tell a person. One thread an officer; nothing here reaches a device.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

Judgement = tuple[str, str, float]
"""Verdict, category, virtual seconds they look."""

SIGN_IN_EVERY_S = 1.0
PATIENCE_S = 5.0
TOUCH_EVERY_S = 20.0
REPLACED = ("elsewhere", "other_officer")


class ScriptedOfficer(threading.Thread):
    """Signs in, watches the desk's stream, judges what comes first. Comes back when the station was away;
    goes for good when somebody signs in in their place: that one judges now."""

    def __init__(
        self,
        port: int,
        officer: str,
        pin: str,
        judgements: Mapping[str, Judgement],
        *,
        desk: str = "",
        speed: float = 1.0,
    ) -> None:
        """`judgements` by waybill; what is not among them goes to recheck."""
        super().__init__(name=f"officer-{officer}", daemon=True)
        self.officer = officer
        self.judged: list[tuple[int, str, str]] = []
        """(parcel, waybill, verdict) as sent."""
        self.refused: list[str] = []
        """What the station said no to."""
        self.signed_in = threading.Event()
        self._port = port
        self._pin = pin
        self._desk = desk
        self._judgements = judgements
        self._speed = speed
        self._stopping = threading.Event()
        self._number = 0
        self._began = f"{time.time_ns():x}"
        self._cookie = ""
        self._token = ""
        self._looking: tuple[int, str, float] | None = None
        """(parcel, picture, since)."""
        self._done: set[tuple[int, str]] = set()
        self._touched_s = 0.0

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._sign_in()
                self._watch()
            except (OSError, http.client.HTTPException, ValueError, KeyError, Refused):
                self.signed_in.clear()
                self._stopping.wait(SIGN_IN_EVERY_S)

    # --- the desk ---

    def _ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any, http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        try:
            headers = {"Content-Type": "application/json"}
            if self._cookie:
                headers |= {"Cookie": self._cookie, "X-Kakou-Token": self._token}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            raw = response.read()
            return response.status, json.loads(raw) if raw else None, response
        finally:
            connection.close()

    def _sign_in(self) -> None:
        self._cookie = self._token = ""
        asked = {"officer": self.officer, "pin": self._pin, "desk": self._desk}
        status, said, response = self._ask("POST", "/v1/sign_in", asked)
        if status != 200:
            raise Refused(f"{status} {said}")
        self._cookie = (response.getheader("Set-Cookie") or "").split(";")[0]
        self._token = str(said["token"])
        self._looking = None
        self._done.clear()

    def _watch(self) -> None:
        """The desk's stream of events, until it ends."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        try:
            connection.request("GET", "/v1/stream", headers={"Cookie": self._cookie})
            response = connection.getresponse()
            if response.status != 200:
                raise Refused(f"stream: {response.status}")
            self.signed_in.set()
            kind = ""
            while not self._stopping.is_set():
                line = response.readline()
                if not line:
                    return
                text = line.decode().rstrip("\r\n")
                if text.startswith("event:"):
                    kind = text[6:].strip()
                elif text.startswith("data:"):
                    self._event(kind, json.loads(text[5:]))
        finally:
            with contextlib.suppress(OSError):
                if connection.sock is not None:
                    connection.sock.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _event(self, kind: str, said: Any) -> None:
        match kind:
            case "view":
                self._look(said)
            case "answer" if not said.get("ok", False):
                self.refused.append(json.dumps(said.get("words"), ensure_ascii=False))
            case "ended":
                if said.get("why") in REPLACED:
                    self._stopping.set()
                raise Refused(str(said))
            case _:
                pass

    def _look(self, view: Mapping[str, Any]) -> None:
        now_s = time.monotonic()
        if now_s - self._touched_s > TOUCH_EVERY_S:
            self._touched_s = now_s
            self._say({"do": "touched"})
        waiting = [
            parcel
            for parcel in view["me"]["in_hand"]
            if parcel.get("picture") and (parcel["parcel"], parcel["picture"]["picture"]) not in self._done
        ]
        if not waiting:
            self._looking = None
            return
        first = waiting[0]
        parcel, picture = int(first["parcel"]), str(first["picture"]["picture"])
        if self._looking is None or self._looking[:2] != (parcel, picture):
            self._looking = (parcel, picture, now_s)
            self._say({"do": "shown", "parcel": parcel, "picture": picture})
        verdict, category, looks_s = self._judgements.get(str(first.get("waybill_no")), ("recheck", "", 1.6))
        took_s = now_s - self._looking[2]
        if took_s < looks_s / self._speed:
            return
        if verdict == "passed" and not first.get("may_pass", True):
            verdict, category = "recheck", ""
        self._done.add((parcel, picture))
        self._looking = None
        self.judged.append((parcel, str(first.get("waybill_no")), verdict))
        self._say(
            {
                "do": "judge",
                "parcel": parcel,
                "picture": picture,
                "verdict": verdict,
                "category": category,
                "took_s": round(took_s, 3),
            }
        )

    def _say(self, command: dict[str, Any]) -> None:
        self._number += 1
        command["id"] = f"{self.officer}-{self._began}-{self._number}"
        status, said, _ = self._ask("POST", "/v1/commands", command)
        if status != 202:
            self.refused.append(f"{command['do']}: {status} {json.dumps(said, ensure_ascii=False)}")
            if status == 401:
                raise Refused("signed out")


class Refused(Exception):
    """The station does not let the officer in; the text is what it said."""
