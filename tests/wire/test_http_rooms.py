"""What cameras on a network share: parts of a multipart, Digest, endless calls, pictures, secrets."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.devices import chinese_text, digest_auth, http_calling, jpeg
from edge.devices.http_calling import AskAgain, Begun, Caller, Content, Denied, Failed, Finished
from edge.devices.http_listening import Connection, Patience, Refused, Request
from edge.devices.http_stream import Limits, PartStream
from edge.devices.multipart import Part, PartCutter, boundary_in, boundary_of
from edge.devices.readings import ReadGarbled, ReadTruncated
from edge.devices.repeats import Repeats
from edge.devices.secret_files import read_secret
from edge.devices.settings import SettingsRefused, check_line_text

FUZZ = int(os.environ.get("KAKOU_FUZZ", "5000"))
PASSWORD = "secret"
JPEG = b"\xff\xd8\xff\xe0" + b"B" * 40 + b"\xff\xd9"

# --- Digest -------------------------------------------------------------------------------------------------

RFC_7616 = {
    "realm": "http-auth@example.org",
    "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "opaque": "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
}
HEADERS_7616 = [
    f'Digest realm="{RFC_7616["realm"]}", qop="auth, auth-int", algorithm={algorithm}, '
    f'nonce="{RFC_7616["nonce"]}", opaque="{RFC_7616["opaque"]}"'
    for algorithm in ("SHA-256", "MD5")
]


@pytest.mark.parametrize(
    ("header", "response"),
    [
        (HEADERS_7616[1], "8ca523f5e9506fed4657c9700eebdbec"),
        (HEADERS_7616[0], "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
    ids=["MD5", "SHA-256"],
)
def test_the_examples_of_rfc_7616_come_out_as_they_stand_there(header: str, response: str) -> None:
    challenge = digest_auth.challenge_in([header])
    assert challenge is not None
    line = digest_auth.authorization(
        challenge,
        method="GET",
        uri="/dir/index.html",
        user="Mufasa",
        password="Circle of Life",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        count=1,
    )
    assert f'response="{response}"' in line
    assert 'username="Mufasa"' in line
    assert "qop=auth, nc=00000001" in line
    assert f'opaque="{RFC_7616["opaque"]}"' in line


def test_the_example_of_rfc_2617_comes_out_as_it_stands_there() -> None:
    header = (
        'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    )
    challenge = digest_auth.challenge_in([header])
    assert challenge is not None
    line = digest_auth.authorization(
        challenge,
        method="GET",
        uri="/dir/index.html",
        user="Mufasa",
        password="Circle Of Life",
        cnonce="0a4f113b",
        count=1,
    )
    assert 'response="6629fae49393a05397450978507c4ef1"' in line
    assert "algorithm" not in line


def test_the_stronger_algorithm_is_taken_whatever_the_order() -> None:
    for headers in (HEADERS_7616, HEADERS_7616[::-1], [", ".join(HEADERS_7616)]):
        challenge = digest_auth.challenge_in(headers)
        assert challenge is not None
        assert challenge.algorithm == "SHA-256"


def test_without_qop_the_old_form_is_answered() -> None:
    challenge = digest_auth.challenge_in(['Digest realm="r", nonce="n"'])
    assert challenge == digest_auth.Challenge("r", "n", "MD5", False, False, None, False)
    line = digest_auth.authorization(
        challenge, method="GET", uri="/", user="u", password="p", cnonce="c", count=1
    )
    assert "qop" not in line
    assert "cnonce" not in line


@pytest.mark.parametrize(
    "header",
    [
        'Basic realm="r"',
        'Digest realm="r"',
        'Digest nonce="n"',
        'Digest realm="r", nonce="n", algorithm=SHA-512-256',
        'Digest realm="r", nonce="n", algorithm=MD5-sess',
        'Digest realm="r", nonce="n", qop="auth-int"',
        'Digest realm="r\x01", nonce="n"',
        "",
        "Digest",
        ",,,",
        '"',
    ],
)
def test_a_challenge_we_cannot_answer_is_none(header: str) -> None:
    assert digest_auth.challenge_in([header]) is None


def test_a_challenge_is_found_among_others_and_keeps_its_quotes() -> None:
    header = 'Basic realm="x, y", Digest realm="a \\"b\\"", nonce="n", stale=TRUE, qop=auth'
    challenge = digest_auth.challenge_in([header])
    assert challenge is not None
    assert (challenge.realm, challenge.stale, challenge.qop) == ('a "b"', True, True)
    line = digest_auth.authorization(
        challenge, method="GET", uri="/", user='u"', password="p", cnonce="c", count=2
    )
    assert 'realm="a \\"b\\""' in line
    assert 'username="u\\""' in line


@given(st.text(max_size=200))
def test_no_challenge_raises(header: str) -> None:
    found = digest_auth.challenge_in([header, f'Digest realm="r", nonce="n", {header}'])
    assert type(found) in (type(None), digest_auth.Challenge)


# --- parts --------------------------------------------------------------------------------------------------


def part(body: bytes, *headers: str, boundary: bytes = b"b", length: int | None = None) -> bytes:
    lines = [*headers, f"Content-Length: {len(body) if length is None else length}"]
    return b"--" + boundary + b"\r\n" + "\r\n".join([*lines, "", ""]).encode() + body + b"\r\n"


def cut(content: bytes, *, most: int = 10_000, ended: bool = False) -> list[object]:
    cutter = PartCutter(b"b", most_part_bytes=most)
    found = cutter.feed(content) + (cutter.end() if ended else [])
    return [each.body if isinstance(each, Part) else type(each) for each in found]


def test_a_part_with_its_length_is_told_as_soon_as_its_last_byte_came() -> None:
    content = part(b"hello", "Content-Type: text/plain")
    cutter = PartCutter(b"b", most_part_bytes=100)
    last = content.index(b"hello") + 4
    assert cutter.feed(content[:last]) == []
    assert cutter.halfway
    (told,) = cutter.feed(content[last : last + 1])
    assert isinstance(told, Part)
    assert (told.body, told.kind) == (b"hello", "text/plain")
    assert not cutter.halfway


def test_a_part_without_length_ends_at_the_next_boundary() -> None:
    content = b"--b\r\nContent-Type: a/b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n\r\n--b--\r\nepilogue"
    assert cut(content) == [b"one", b"two\r\n"]
    assert cut(content[: content.index(b"\r\n--b--")]) == [b"one"]
    assert cut(content[: content.index(b"\r\n--b--")], ended=True) == [b"one", b"two\r\n"]


def test_a_body_may_hold_what_looks_like_a_boundary_but_is_none() -> None:
    assert cut(part(b"x--b y\r\n-b z--b")) == [b"x--b y\r\n-b z--b"]


@pytest.mark.parametrize("announced", [6, 7, 20, 9000])
def test_an_announced_length_that_swallows_the_next_boundary_is_a_part_cut_off(announced: int) -> None:
    content = part(b"one", length=announced) + part(b"two") + part(b"three")
    told = cut(content)
    assert told[-1] == b"three"
    assert ReadTruncated in told or ReadGarbled in told
    assert b"one" not in told


def test_an_announced_length_that_is_too_short_loses_no_later_part() -> None:
    assert cut(part(b"one two", length=3) + part(b"three")) == [b"one", ReadGarbled, b"three"]


@pytest.mark.parametrize(
    "head",
    [
        b"no colon",
        b"Content-Length: x",
        b"Content-Length: -1",
        b"Content-Length: 1\r\nContent-Length: 2",
        b"Content-Length: 10001",
        b": nothing",
        b"X: " + b"a" * 9000,
    ],
)
def test_a_part_whose_head_is_none_is_refused_and_the_next_one_read(head: bytes) -> None:
    assert cut(b"--b\r\n" + head + b"\r\n\r\nbody\r\n" + part(b"two") + part(b"three")) == [
        ReadGarbled,
        b"two",
        b"three",
    ]


def test_a_part_without_length_that_never_ends_is_refused() -> None:
    content = b"--b\r\n\r\n" + b"x" * 20_000 + b"\r\n" + part(b"two")
    assert cut(content) == [ReadGarbled, b"two"]


def test_bytes_between_parts_are_reported_once_and_blank_lines_are_not() -> None:
    assert cut(part(b"one") + b"\r\n\r\n" + part(b"two")) == [b"one", b"two"]
    assert cut(part(b"one") + b"noise\n" * 50 + part(b"two")) == [b"one", ReadGarbled, b"two"]
    assert cut(b"preamble\r\n" + part(b"one")) == [ReadGarbled, b"one"]


def test_a_boundary_named_with_its_dashes_is_found_either_way() -> None:
    for dashes in (b"", b"--"):
        cutter = PartCutter(b"--b", most_part_bytes=100)
        assert [each.body for each in cutter.feed(dashes + part(b"x")) if isinstance(each, Part)] == [b"x"]


def test_names_are_those_of_the_part_or_of_its_file() -> None:
    said = [
        'form-data; name="anpr.xml"; filename="x.xml"',
        'form-data; filename="vehiclePicture.jpg"',
        "form-data; name=plain",
        "form-data",
    ]
    parts = [Part({"content-disposition": each}, b"") for each in said]
    assert [each.name for each in parts] == ["anpr.xml", "vehiclePicture.jpg", "plain", ""]


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/mixed; boundary=myboundary", b"myboundary"),
        ('Multipart/Form-Data; charset=x; boundary="a b;c"', b"a b;c"),
        ("multipart/x-mixed-replace;boundary=--x;y=1", b"--x"),
        ("multipart/mixed", None),
        ("multipart/mixed; boundary=", None),
        ("text/plain; boundary=x", None),
        ("", None),
    ],
)
def test_a_boundary_is_read_from_its_header(content_type: str, boundary: bytes | None) -> None:
    assert boundary_of(content_type) == boundary


def test_a_boundary_is_read_from_the_first_line_where_no_header_names_it() -> None:
    assert boundary_in(b"\r\n--MIME_boundary\r\nContent-Type: x\r\n") == b"MIME_boundary"
    assert boundary_in(b"------WebKit12\nX") == b"----WebKit12"
    assert boundary_in(b"<xml>") is None
    assert boundary_in(b"--no line end") is None


PIECES = st.one_of(
    st.sampled_from([
        part(b"hello", "Content-Type: text/plain"), part(JPEG, "Content-Type: image/jpeg"), part(b""),
        part(b"x", length=40), part(b"xyz", length=1), b"--b\r\n\r\nopen\r\n", b"--b--\r\n", b"--b", b"\r\n",
        b"--b\r\nbad\r\n\r\n", b"\r", b"-", b"--bb\r\n",
    ]),
    st.binary(max_size=20),
)  # fmt: skip


@given(pieces=st.lists(PIECES, max_size=8), cuts=st.lists(st.integers(0, 2000), max_size=10))
def test_any_slicing_gives_the_same_parts(pieces: list[bytes], cuts: list[int]) -> None:
    content = b"".join(pieces)
    places = sorted({0, len(content), *(each % (len(content) + 1) for each in cuts)})
    slices = [content[a:b] for a, b in itertools.pairwise(places)]

    def told(portions: list[bytes]) -> list[object]:
        cutter = PartCutter(b"b", most_part_bytes=100)
        found = [each for portion in portions for each in cutter.feed(portion)] + cutter.end()
        return [(each.headers, each.body) if isinstance(each, Part) else type(each) for each in found]

    assert told(slices) == told([content])
    assert told([bytes([byte]) for byte in content]) == told([content])


def test_what_is_held_is_bounded_whatever_comes() -> None:
    rng = random.Random(5)
    starts = [b"--b\r\n", b"--b\r\nContent-Length: 90\r\n\r\n", b"--b\r\n\r\n", b"", b"--b"]
    held = []
    for start in starts:
        cutter = PartCutter(b"b", most_part_bytes=1000)
        cutter.feed(start)
        for _ in range(500):
            cutter.feed(rng.choice([b"x" * 100, b"\n" * 100, b"\r\n--" * 25]))
        held.append(len(cutter._held) + len(cutter._noise))
    assert max(held) < 10_000


# --- pictures, repeats, secrets -----------------------------------------------------------------------------


def test_a_picture_is_whole_when_it_begins_and_ends_as_one() -> None:
    assert jpeg.check(JPEG, most_bytes=1000) == JPEG
    assert jpeg.check(JPEG + b"\r\n\0\0", most_bytes=1000) == JPEG
    kinds = [type(jpeg.check(JPEG[:kept], most_bytes=1000)) for kept in range(len(JPEG))]
    assert kinds == [ReadGarbled] * 3 + [ReadTruncated] * (len(JPEG) - 3)
    assert isinstance(jpeg.check(JPEG, most_bytes=20), ReadGarbled)
    assert isinstance(jpeg.check(b"GIF89a", most_bytes=20), ReadGarbled)


def test_what_was_told_is_known_until_it_is_the_oldest() -> None:
    memory = Repeats(3)
    assert [memory.is_new(key) for key in (1, 1, None, None, 2, 3, 4, 1, 4)] == [
        True, False, True, True, True, True, True, True, False,
    ]  # fmt: skip


def test_a_secret_is_one_line_of_a_file_closed_to_strangers(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("circle of life\n")
    file.chmod(0o600)
    assert read_secret("password_file", str(file)) == "circle of life"
    assert read_secret("password_file", "") == ""


@pytest.mark.parametrize(
    "case", ["relative", "missing", "open", "folder", "empty", "lines", "binary", "long"]
)
def test_a_secret_that_is_none_is_refused_without_repeating_it(tmp_path: Path, case: str) -> None:
    file = tmp_path / "password"
    contents = {"empty": b" \n", "lines": b"a\nb", "binary": b"\xff\xfe", "long": b"x" * 2000}
    file.write_bytes(contents.get(case, b"xxxx"))
    file.chmod(0o604 if case == "open" else 0o600)
    path = {"relative": "password", "missing": str(tmp_path / "no"), "folder": str(tmp_path)}.get(
        case, str(file)
    )
    with pytest.raises(SettingsRefused, match=r"^password_file: expected the absolute path") as refused:
        read_secret("password_file", path)
    assert "xxxx" not in str(refused.value)


def test_a_text_for_a_header_has_no_control_characters() -> None:
    check_line_text("host", "cam-1.example")
    for text in ("a\r\nX: y", " a", "a\x7f"):
        with pytest.raises(SettingsRefused, match=r"^host: expected a text without control characters"):
            check_line_text("host", text)


PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使"


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_a_plate_of_every_province_is_read_in_both_encodings(encoding: str) -> None:
    plates = [f'{{"license":"{province}A12345","owner":"x"}}' for province in PROVINCES]
    assert [chinese_text.decode(plate.encode(encoding)) for plate in plates] == plates


@pytest.mark.parametrize("text", ["А123ВС77", "Caméra 1", "粤B·12345", "abc", "", "é豫A1"])
def test_what_is_no_chinese_plate_stays_utf_8(text: str) -> None:
    assert chinese_text.decode(text.encode("utf-8")) == text


def test_what_is_neither_is_no_text() -> None:
    with pytest.raises(UnicodeDecodeError):
        chinese_text.decode(b"\xff\xff")
    with pytest.raises(UnicodeDecodeError):
        chinese_text.decode("粤B12345".encode() + b"\xe7\xb2")


# --- listening ----------------------------------------------------------------------------------------------


def test_a_request_half_sent_is_cut_off_by_silence_and_by_dribbling() -> None:
    patience = Patience(5.0, 12.0)
    times: list[float | None] = [patience.cut_at_s]
    for at_s, halfway, whole in (
        (0.0, True, False), (4.0, True, False), (8.0, True, False), (11.0, True, False),
        (11.5, True, True), (12.0, False, True),
    ):  # fmt: skip
        patience.heard(at_s, halfway=halfway, whole=whole)
        times.append(patience.cut_at_s)
    assert times == [None, 5.0, 9.0, 12.0, 12.0, 16.5, None]


def post(body: bytes, announced: int | None = None) -> bytes:
    length = len(body) if announced is None else announced
    return b"POST /x HTTP/1.1\r\nHost: h\r\nX-Token: t\r\nContent-Length: %d\r\n\r\n" % length + body


def test_a_body_too_long_is_swallowed_where_that_is_asked_for_and_refused_elsewhere() -> None:
    swallowing, refusing = Connection(100, swallow=True), Connection(100)
    chunked = b"POST /x HTTP/1.1\r\nHost: h\r\nX-Token: t\r\nTransfer-Encoding: chunked\r\n\r\n"
    for request in (post(b"x" * 500), chunked + (b"32\r\n" + b"x" * 50 + b"\r\n") * 7 + b"0\r\n\r\n"):
        for at in range(0, len(request), 40):
            swallowing.feed(request[at : at + 40])
            event = swallowing.next()
        assert isinstance(event, Request)
        assert (event.too_long, event.body) == (True, b"")
        swallowing.answer(200, b"OK")
    refusing.feed(post(b"x" * 500))
    swallowing.feed(post(b"x" * 500))
    event = swallowing.next()
    assert isinstance(event, Request)
    assert (event.too_long, event.body, event.header(b"x-token"), event.header(b"no")) == (True, b"", "t", "")
    swallowing.answer(200, b"OK")
    swallowing.feed(post(b"y"))
    second = swallowing.next()
    assert isinstance(second, Request)
    assert (second.too_long, second.body) == (False, b"y")
    assert isinstance(refusing.next(), Refused)


# --- calling ------------------------------------------------------------------------------------------------

CHALLENGE = b'WWW-Authenticate: Digest realm="Login", qop="auth", nonce="%s", opaque="o"\r\n'


def unauthorised(nonce: bytes = b"n1", extra: bytes = b"", *, closes: bool = False) -> bytes:
    closing = b"Connection: close\r\n" if closes else b"Content-Length: 4\r\n"
    body = b"" if closes else b"nope"
    return b"HTTP/1.1 401 Unauthorized\r\n" + (CHALLENGE % nonce) + extra + closing + b"\r\n" + body


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"


def caller(password: str = PASSWORD) -> Caller:
    return Caller("/t?x=[1]", host="cam", user="admin", password=password, new_cnonce=lambda: "c0ffee")


def authorised(sent: bytes) -> bool:
    return b"authorization: digest " in sent.lower()


def test_a_device_that_asks_for_nothing_is_read_at_once() -> None:
    call = caller()
    call.begin()
    assert call.take_bytes().startswith(b"GET /t?x=[1] HTTP/1.1\r\nHost: cam\r\n")
    assert call.feed(STREAM + b"abc") == [Begun("multipart/mixed; boundary=b"), Content(b"abc")]
    assert call.feed(b"def") == [Content(b"def")]


def test_credentials_are_given_when_asked_for_on_the_same_connection() -> None:
    call = caller()
    call.begin()
    assert not authorised(call.take_bytes())
    assert call.feed(unauthorised()) == []
    sent = call.take_bytes()
    assert authorised(sent)
    assert b'uri="/t?x=[1]"' in sent
    assert b"secret" not in sent
    assert call.feed(STREAM) == [Begun("multipart/mixed; boundary=b")]


@pytest.mark.parametrize("closes", [True, False])
def test_a_device_that_closes_after_asking_gets_them_on_the_next_connection(closes: bool) -> None:
    call = caller()
    call.begin()
    call.take_bytes()
    answer = unauthorised(closes=True) if closes else b"HTTP/1.1 401 No\r\n" + CHALLENGE % b"n1" + b"\r\n"
    assert call.feed(answer) == [AskAgain()]
    assert call.take_bytes() == b""
    call.begin()
    assert authorised(call.take_bytes())
    assert call.feed(STREAM) == [Begun("multipart/mixed; boundary=b")]


def test_a_second_refusal_of_a_fresh_challenge_is_final() -> None:
    call = caller()
    call.begin()
    call.feed(unauthorised())
    call.take_bytes()
    (denied,) = call.feed(unauthorised(b"n2"))
    assert isinstance(denied, Denied)
    assert "'admin'" in denied.why
    assert "secret" not in denied.why
    assert call.take_bytes() == b""
    assert call.feed(STREAM) == []


def test_an_old_nonce_is_changed_for_a_new_one_and_a_stale_one_too() -> None:
    call = caller()
    call.begin()
    call.feed(unauthorised(b"n1"))
    call.feed(STREAM)
    call.begin()
    assert b'nonce="n1"' in call.take_bytes()
    assert call.feed(unauthorised(b"n2")) == []
    sent = call.take_bytes()
    assert b'nonce="n2"' in sent
    assert b"nc=00000001" in sent
    stale = CHALLENGE.replace(b'opaque="o"', b'opaque="o", stale=true') % b"n3"
    answer = b"HTTP/1.1 401 No\r\n" + stale + b"Content-Length: 0\r\n\r\n"
    assert call.feed(answer) == []
    assert b'nonce="n3"' in call.take_bytes()
    (event,) = call.feed(answer)
    assert isinstance(event, Denied)
    assert "again and again" in event.why


def test_a_count_goes_up_with_every_use_of_a_nonce() -> None:
    call = caller()
    call.begin()
    call.feed(unauthorised())
    counts = [b"nc=00000001" in call.take_bytes()]
    call.feed(STREAM)
    call.begin()
    counts.append(b"nc=00000002" in call.take_bytes())
    assert counts == [True, True]


@pytest.mark.parametrize(
    ("password", "answer", "says"),
    [
        ("", unauthorised(), "no"),
        (PASSWORD, unauthorised().replace(b"Digest", b"Basic"), "we do not know"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_said(password: str, answer: bytes, says: str) -> None:
    call = caller(password)
    call.begin()
    (denied,) = call.feed(answer)
    assert isinstance(denied, Denied)
    assert says in denied.why


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n",
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000,
        b"\x16\x03\x01\x02\r\n\r\n",
    ],
)
def test_an_answer_of_no_use_is_said_once(answer: bytes) -> None:
    call = caller()
    call.begin()
    (failed,) = call.feed(answer)
    assert isinstance(failed, Failed)
    assert call.feed(answer) == []


def test_an_answer_that_ends_is_finished() -> None:
    call = caller()
    call.begin()
    told = call.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab")
    assert told == [Begun(""), Content(b"ab"), Finished()]


def test_a_caller_takes_any_bytes() -> None:
    rng = random.Random(9)
    good = [unauthorised(), unauthorised(closes=True), STREAM + b"x" * 20, b"HTTP/1.1 100 Continue\r\n\r\n"]
    call = caller()
    ended = 0
    for _ in range(FUZZ):
        call.begin()
        for _ in range(rng.randrange(4)):
            content = bytearray(rng.choice(good))
            for _ in range(rng.randrange(4)):
                content[rng.randrange(len(content))] = rng.randrange(256)
            events = call.feed(bytes(content[: rng.randrange(len(content) + 1)]))
            ended += any(isinstance(event, Failed | Denied | AskAgain | Finished) for event in events)
            call.take_bytes()
    assert ended > FUZZ // 20


# --- streams ------------------------------------------------------------------------------------------------

LIMITS = Limits(answer_s=5.0, quiet_s=15.0, part_s=30.0, after_refusal_s=300.0, most_part_bytes=1000)


def stream(password: str = PASSWORD) -> PartStream:
    made = PartStream(caller(password), LIMITS)
    made.opened(0.0)
    return made


def test_no_answer_in_its_time_is_hung_up_on() -> None:
    made = stream()
    assert made.wake_at_s == 5.0
    assert made.due(4.9) == []
    assert [type(each) for each in made.due(5.0)] == [ReadGarbled]
    assert made.hang_up


def test_silence_is_hung_up_on_and_what_was_half_read_is_told() -> None:
    made = stream()
    made.received(1.0, STREAM)
    made.received(2.0, part(b"x") + b"--b\r\nContent-Le")
    assert made.wake_at_s == 17.0
    told = made.due(17.0)
    assert [type(each) for each in told] == [ReadTruncated]
    assert made.hang_up


def test_a_dribble_without_a_whole_part_is_hung_up_on_too() -> None:
    made = stream()
    made.received(0.0, STREAM + b"--b\r\nContent-Length: 900\r\n\r\n")
    for second in range(1, 30):
        made.received(float(second), b"x")
    assert made.wake_at_s == 30.0
    assert [type(each) for each in made.due(30.0)] == [ReadTruncated]


def test_refused_credentials_are_not_tried_again_before_their_time() -> None:
    made = stream()
    made.take_bytes()
    made.received(0.0, unauthorised())
    made.take_bytes()
    told = made.received(1.0, unauthorised(b"n2"))
    assert [type(each) for each in told] == [ReadGarbled]
    assert made.hang_up
    for at_s in (2.0, 100.0, 300.0):
        made.opened(at_s)
        assert (made.take_bytes(), made.hang_up, made.wake_at_s) == (b"", False, 301.0)
        assert made.received(at_s, STREAM) == []
    assert made.due(301.0) == []
    assert made.take_bytes().startswith(b"GET ")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        STREAM + part(b"x") + b"--b--\r\n",
    ],
)
def test_an_answer_that_is_no_endless_stream_is_hung_up_on(answer: bytes) -> None:
    made = stream()
    made.received(1.0, answer)
    assert made.hang_up
    assert made.received(2.0, answer) == []


def test_opening_again_begins_anew() -> None:
    made = stream()
    made.received(1.0, STREAM + part(b"x") + b"--b\r\nConte")
    made.opened(2.0)
    assert made.take_bytes().count(b"GET ") == 1
    told = made.received(3.0, STREAM + part(b"y"))
    assert [each.body for each in told if isinstance(each, Part)] == [b"y"]


def test_h11_is_the_other_end_of_what_a_caller_sends() -> None:
    call = caller()
    call.begin()
    call.feed(unauthorised())
    far = h11.Connection(h11.SERVER)
    far.receive_data(call.take_bytes())
    request = far.next_event()
    assert isinstance(request, h11.Request)
    assert dict(request.headers)[b"host"] == b"cam"
    assert http_calling.MOST_ASKED == 3
