"""What carries a fixed camera's frames: HTTP, RTSP or a folder. Sockets and files, never waited for.

Frames come by real time whatever the site's speed; each shows the lane at that virtual moment. Over HTTP they
are motion JPEG (`multipart/x-mixed-replace`), over RTSP (RFC 2326) they are RTP/JPEG (RFC 2435).
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from hardware_sims.devices.fixed_camera import FixedCamera

FRAME_S: Final = 0.2
"""Five frames a second."""
KEPT_FILES: Final = 25
MOST_CLIENTS: Final = 8
MOST_REQUEST: Final = 8_192
RTP_BYTES: Final = 1_400
BOUNDARY: Final = "kakou-frame"
HEAD: Final = (
    "HTTP/1.0 200 OK\r\nServer: fixed-camera\r\nCache-Control: no-store\r\n"
    f"Content-Type: multipart/x-mixed-replace; boundary={BOUNDARY}\r\n\r\n"
).encode("ascii")


def part(jpeg: bytes) -> bytes:
    """One frame as it goes down the stream."""
    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return head.encode("ascii") + jpeg + b"\r\n"


class PictureLine(Protocol):
    address: str

    def serve(self, real_s: float, at_s: float, camera: FixedCamera) -> None:
        """Do what is due; at once."""

    def close(self) -> None: ...


class Client:
    """One connection: bytes in and out, never waited for."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.heard = b""
        self.waiting = b""
        self.playing = False
        self.ends = False
        """Hang up when what waits has gone."""
        self.packets = 0

    def read(self) -> bool:
        """False when the other end is gone or says too much."""
        try:
            data = self.connection.recv(MOST_REQUEST)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.heard += data
        return bool(data) and len(self.heard) <= MOST_REQUEST

    def write(self) -> bool:
        if self.waiting:
            try:
                self.waiting = self.waiting[self.connection.send(self.waiting) :]
            except BlockingIOError:
                return True
            except OSError:
                return False
        return bool(self.waiting) or not self.ends


class ServedLine:
    """Several may watch; who reads too slowly misses frames. `answer` and `packed` are the protocol."""

    def __init__(
        self,
        scheme: str,
        port: int,
        answer: Callable[[Client], None],
        packed: Callable[[Client, bytes, float], bytes],
    ) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.address = f"{scheme}://127.0.0.1:{self.port}/stream"
        self._answer = answer
        self._packed = packed
        self._clients: list[Client] = []
        self._due_s = 0.0

    def serve(self, real_s: float, at_s: float, camera: FixedCamera) -> None:
        self._accept(camera)
        if real_s >= self._due_s:
            self._due_s = real_s + FRAME_S
            watching = [client for client in self._clients if client.playing and not client.ends]
            jpeg = camera.frame(at_s) if watching else None
            for client in watching:
                if jpeg is not None and not client.waiting:
                    client.waiting = self._packed(client, jpeg, real_s)
                    client.ends = camera.hangs_up
        for client in [*self._clients]:
            alive = not camera.is_dead and client.read()
            if alive:
                self._answer(client)
            if not alive or not client.write():
                client.connection.close()
                self._clients.remove(client)

    def _accept(self, camera: FixedCamera) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = self._listener.accept()
                if camera.is_dead or len(self._clients) >= MOST_CLIENTS:
                    connection.close()
                else:
                    self._clients.append(Client(connection))

    def close(self) -> None:
        for client in self._clients:
            client.connection.close()
        self._clients.clear()
        self._listener.close()


def http_line(port: int = 0) -> ServedLine:
    """`GET /stream`."""
    return ServedLine("http", port, _answer_http, lambda client, jpeg, real_s: part(jpeg))


def _answer_http(client: Client) -> None:
    if client.playing or client.ends or b"\r\n\r\n" not in client.heard:
        return
    client.playing = client.heard.startswith(b"GET /stream ")
    client.waiting = HEAD if client.playing else b"HTTP/1.0 404 Not Found\r\n\r\n"
    client.ends = not client.playing


def rtsp_line(port: int = 0) -> ServedLine:
    """`/stream`, RTP inside the RTSP connection alone (RFC 2326 10.12)."""
    return ServedLine("rtsp", port, _answer_rtsp, rtp_jpeg)


SDP: Final = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:track1\r\n"
)
SESSION: Final = "4b41"


def _answer_rtsp(client: Client) -> None:
    while client.heard:
        if client.heard[:1] == b"$":
            # A receiver's report.
            size = 4 + int.from_bytes(client.heard[2:4], "big")
            if len(client.heard) < max(size, 4):
                return
            client.heard = client.heard[size:]
            continue
        head, blank, rest = client.heard.partition(b"\r\n\r\n")
        if not blank:
            return
        client.heard = rest
        client.waiting += _rtsp_answer(client, head.decode("latin-1"))


def _rtsp_answer(client: Client, head: str) -> bytes:
    request, *lines = head.split("\r\n")
    method, _, url = request.partition(" ")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    status, told, body = "200 OK", [f"CSeq: {fields.get('cseq', '0')}"], ""
    if not url.split(" ")[0].rstrip("/").endswith(("/stream", "/track1")) and method != "OPTIONS":
        status = "404 Not Found"
    elif method == "OPTIONS":
        told.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")
    elif method == "DESCRIBE":
        told += ["Content-Type: application/sdp", f"Content-Base: {url.split(' ')[0]}/"]
        body = SDP
    elif method == "SETUP" and "TCP" in fields.get("transport", ""):
        told += ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1", f"Session: {SESSION};timeout=60"]
    elif method == "SETUP":
        status = "461 Unsupported Transport"
    elif method == "PLAY":
        client.playing = True
        told.append(f"Session: {SESSION}")
    elif method == "TEARDOWN":
        client.playing, client.ends = False, True
    if body:
        told.append(f"Content-Length: {len(body)}")
    return ("\r\n".join([f"RTSP/1.0 {status}", *told]) + "\r\n\r\n" + body).encode("ascii")


def rtp_jpeg(client: Client, jpeg: bytes, real_s: float) -> bytes:
    """A frame as interleaved RTP packets. Of one that is not whole the last packet never comes."""
    whole = jpeg.endswith(b"\xff\xd9")
    tables = b"".join(body[1:] for marker, body in _segments(jpeg) if marker == 0xDB)
    rows, columns = next((body[1:3], body[3:5]) for marker, body in _segments(jpeg) if marker == 0xC0)
    size = bytes([int.from_bytes(columns, "big") // 8, int.from_bytes(rows, "big") // 8])
    scan = jpeg[jpeg.index(b"\xff\xda") + 14 :].removesuffix(b"\xff\xd9")
    clock = (int(real_s * 90_000) & 0xFFFFFFFF).to_bytes(4, "big")
    packets = []
    for offset in range(0, len(scan), RTP_BYTES):
        last = offset + RTP_BYTES >= len(scan)
        if last and not whole:
            break
        head = bytes([0x80, 26 | 0x80 * last]) + client.packets.to_bytes(2, "big") + clock + b"kako"
        # Type 1: 4:2:0; 255: the tables come with the first packet of each frame.
        head += b"\0" + offset.to_bytes(3, "big") + b"\x01\xff" + size
        if offset == 0:
            head += b"\0\0" + len(tables).to_bytes(2, "big") + tables
        packet = head + scan[offset : offset + RTP_BYTES]
        packets.append(b"$\0" + len(packet).to_bytes(2, "big") + packet)
        client.packets = (client.packets + 1) & 0xFFFF
    return b"".join(packets)


def _segments(jpeg: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, body) before the scan."""
    at = 2
    while jpeg[at + 1] != 0xDA:
        length = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        yield jpeg[at + 1], jpeg[at + 4 : at + 2 + length]
        at += 2 + length


class FolderLine:
    """Files with rising numbers, the latest few kept. A cut frame is a file that was never finished."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.address = str(folder)
        self._folder = folder
        self._number = 0
        self._due_s = 0.0

    def serve(self, real_s: float, at_s: float, camera: FixedCamera) -> None:
        if real_s < self._due_s:
            return
        self._due_s = real_s + FRAME_S
        jpeg = camera.frame(at_s)
        if jpeg is None:
            return
        self._number += 1
        # As an FTP server does it: the name is there before the bytes are.
        (self._folder / f"{self._number:08d}.jpg").write_bytes(jpeg)
        (self._folder / f"{self._number - KEPT_FILES:08d}.jpg").unlink(missing_ok=True)

    def close(self) -> None:
        pass
