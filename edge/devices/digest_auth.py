"""HTTP Digest: a challenge and a password in, the Authorization line out. No HTTP, no random, no clock.

MD5 and SHA-256 with `qop=auth`, and the form without qop that RFC 2069 had. `auth-int`, the `-sess` forms and
SHA-512-256 are not answered: no camera was found that asks for them alone. The stronger algorithm is taken
where both are offered. MD5 keeps a password from being read on the wire, no more: the camera belongs on a
network of its own.

Source: RFC 7616 3.3-3.4, RFC 2617 3.2, RFC 7235 2.1. Tested against the examples of RFC 7616 3.9.1 and RFC
2617 3.5.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Algorithm = Literal["MD5", "SHA-256"]
_SPELT: Mapping[str, Algorithm] = {"MD5": "MD5", "SHA-256": "SHA-256"}

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'\s*({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]*))\s*(?:,|$)')
_SCHEME = re.compile(rf"[\s,]*({_WORD})(?:\s+|$|,)")
_ESCAPED = re.compile(r"\\(.)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MOST_HEADER_CHARACTERS = 4096


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a device wants to see."""

    realm: str
    nonce: str
    algorithm: Algorithm
    algorithm_said: bool
    """False: it is MD5 because nothing was said, and nothing is said back."""
    qop: bool
    """True: `qop=auth`; False: the old form without it."""
    opaque: str | None
    stale: bool
    """The password was right, the nonce is too old."""


def challenge_in(headers: Iterable[str]) -> Challenge | None:
    """The best challenge we can answer among WWW-Authenticate headers; None where there is none."""
    found = [
        challenge
        for header in headers
        for scheme, parameters in _schemes(header[:_MOST_HEADER_CHARACTERS])
        if scheme == "digest" and (challenge := _challenge(parameters)) is not None
    ]
    # SHA-256 comes after MD5 by its letters too
    return max(found, key=lambda each: each.algorithm, default=None)


def authorization(
    challenge: Challenge, *, method: str, uri: str, user: str, password: str, cnonce: str, count: int
) -> str:
    """The value of the Authorization header. `uri` is the request's target as sent; `count` is 1 for the
    first request with this nonce; `cnonce` must be new and not to be guessed."""

    def hashed(text: str) -> str:
        content = text.encode("utf-8")
        if challenge.algorithm == "SHA-256":
            return hashlib.sha256(content).hexdigest()
        return hashlib.md5(content, usedforsecurity=False).hexdigest()

    secret = hashed(f"{user}:{challenge.realm}:{password}")
    asked = hashed(f"{method}:{uri}")
    counted = f"{count:08x}"
    middle = f"{challenge.nonce}:{counted}:{cnonce}:auth" if challenge.qop else challenge.nonce
    said = [
        f'username="{_quoted(user)}"',
        f'realm="{_quoted(challenge.realm)}"',
        f'nonce="{_quoted(challenge.nonce)}"',
        f'uri="{_quoted(uri)}"',
        f'response="{hashed(f"{secret}:{middle}:{asked}")}"',
    ]
    if challenge.algorithm_said:
        said.append(f"algorithm={challenge.algorithm}")
    if challenge.qop:
        said += ["qop=auth", f"nc={counted}", f'cnonce="{_quoted(cnonce)}"']
    if challenge.opaque is not None:
        said.append(f'opaque="{_quoted(challenge.opaque)}"')
    return "Digest " + ", ".join(said)


def _challenge(parameters: Mapping[str, str]) -> Challenge | None:
    realm, nonce = parameters.get("realm"), parameters.get("nonce")
    spelt = parameters.get("algorithm")
    algorithm = _SPELT.get((spelt or "MD5").upper())
    if realm is None or not nonce or algorithm is None:
        return None
    options = [option.strip().lower() for option in parameters.get("qop", "").split(",") if option.strip()]
    if options and "auth" not in options:
        return None
    if any(_CONTROL.search(value) for value in parameters.values()):
        return None
    return Challenge(
        realm,
        nonce,
        algorithm,
        spelt is not None,
        bool(options),
        parameters.get("opaque"),
        parameters.get("stale", "").lower() == "true",
    )


def _schemes(header: str) -> list[tuple[str, dict[str, str]]]:
    """(scheme in lower case, its parameters) of every challenge in one header."""
    found: list[tuple[str, dict[str, str]]] = []
    at = 0
    while at < len(header):
        parameter = _PARAMETER.match(header, at) if found else None
        if parameter is not None:
            quoted, plain = parameter[2], parameter[3]
            value = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
            found[-1][1].setdefault(parameter[1].lower(), value)
            at = parameter.end()
            continue
        scheme = _SCHEME.match(header, at)
        if scheme is None:
            break
        found.append((scheme[1].lower(), {}))
        at = scheme.end()
    return found


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
