"""Records what stands in `live.md` and `live_example.json`: `python docs/contract/record_live.py`.

A handheld, the hub's endpoint and somebody who watches, over sockets of this machine; of every kind of frame
the first one each way is kept, exactly as it was, beside the public keys the openings were signed with.
"""

from __future__ import annotations

import base64
import json
import socket
import sys
import tempfile
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from bench.live_rig import DEVICE, Endpoint, Handheld, MovingPicture, Onlooker, until  # noqa: E402
from edge.handheld.live.pacing import PacingConfig  # noqa: E402
from sync.link.live_wire import HEAD, Kind  # noqa: E402

FILE, PAGE = HERE / "live_example.json", HERE / "live.md"
BEGIN, END = "```text frames\n", "\n```\n"
LONGEST = 96


class Tee:
    """A port that leads to another and keeps what went over it, by direction."""

    def __init__(self, port: int, near: str) -> None:
        self.said: dict[str, bytearray] = {near: bytearray(), "hub": bytearray()}
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._carry, args=(port, near), daemon=True).start()

    def _carry(self, port: int, near: str) -> None:
        one, _ = self._server.accept()
        two = socket.create_connection(("127.0.0.1", port))
        for source, to, name in ((one, two, near), (two, one, "hub")):
            threading.Thread(target=self._pass, args=(source, to, self.said[name]), daemon=True).start()

    def _pass(self, source: socket.socket, to: socket.socket, said: bytearray) -> None:
        while data := source.recv(65536):
            said.extend(data)
            to.sendall(data)
        to.shutdown(socket.SHUT_WR)


def frames(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at + HEAD.size <= len(data):
        length = HEAD.size + HEAD.unpack_from(data, at)[3]
        found.append(bytes(data[at : at + length]))
        at += length
    return found


def record() -> dict[str, dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder, Endpoint(Path(folder)) as endpoint:
        shown, watched = Tee(endpoint.port, "device"), Tee(endpoint.port, "watcher")
        endpoint.reached_at(shown.port)
        small = MovingPicture(64, 64)
        with Handheld(endpoint, pictures=small, pacing=PacingConfig(most_side=240)) as handheld:
            until(lambda: handheld.flow().is_connected, 10)
            endpoint.reached_at(watched.port)
            with Onlooker(endpoint) as onlooker:
                until(lambda: len(onlooker.pictures) > 12, 20)
        said = {
            "device to hub": shown.said["device"],
            "hub to device": shown.said["hub"],
            "watcher to hub": watched.said["watcher"],
            "hub to watcher": watched.said["hub"],
        }
        kept: dict[str, dict[str, str]] = {}
        for way, data in said.items():
            first: dict[str, str] = {}
            for frame in frames(bytes(data)):
                first.setdefault(Kind(frame[2]).name, frame.hex())
            kept[way] = first
        keys = {DEVICE: endpoint.device_key, "hub": endpoint.hub_key}
        kept["public_keys"] = {
            name: base64.b64encode(key.public_key().public_bytes_raw()).decode() for name, key in keys.items()
        }
    return kept


def shown(kept: dict[str, dict[str, str]]) -> str:
    """For the page: each frame on a line; of long ones the beginning."""
    lines = []
    for way, first in kept.items():
        if way != "public_keys":
            lines.append(f"{way}:")
            lines += [f"  {kind:9} {_cut(text)}" for kind, text in first.items()]
    return "\n".join(lines)


def _cut(text: str) -> str:
    head = f"{text[:16]} {text[16:]}"
    return head if len(text) <= LONGEST else f"{head[:LONGEST]} ... {len(text) // 2} bytes"


if __name__ == "__main__":
    recorded = record()
    FILE.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    before, begin, _ = page.partition(BEGIN)
    PAGE.write_text(f"{before}{begin}{shown(recorded)}{END}", encoding="utf-8")
