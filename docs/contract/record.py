"""Records the examples from a run of the world: `python docs/contract/record.py [SEED]`.

A whole site with real programs' machines, hub and lanes under a virtual clock; of every topic the first two
payloads that were published stand in `examples/`, exactly as they were, beside the public keys they were
signed with. Topics no run of a lane uses have none.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from sync.link.contract import CARRIED  # noqa: E402
from sync.link.messages import Topics  # noqa: E402
from sync.link.rights import filters  # noqa: E402
from tests.world.broker import Broker, Wire  # noqa: E402
from tests.world.chaos import run_seed  # noqa: E402
from tests.world.harness import _key as key_of  # noqa: E402

EXAMPLES = HERE / "examples"
OF_EACH = 2
LONGEST = 6_000
"""Bytes: an example is to be read."""


def topic_of(name: str) -> str | None:
    """Which row of the contract a topic's name belongs to."""
    parts = name.split("/")
    for row in CARRIED:
        for wanted in filters(Topics(parts[2]), row.topic, device="+", scopes=("+",)):
            if len(each := wanted.split("/")) == len(parts) and all(
                a in ("+", b) for a, b in zip(each, parts, strict=True)
            ):
                return row.topic
    return None


def record(seed: int) -> dict[str, list[dict[str, Any]]]:
    """Topic -> what was published there first, whole and short enough to read."""
    heard: dict[str, list[dict[str, Any]]] = {row.topic: [] for row in CARRIED}
    take = Broker.take

    def listening(self: Broker, wire: Wire | None, topic: str, payload: bytes, retain: bool) -> None:
        known = topic_of(topic)
        if known is not None and len(heard[known]) < OF_EACH and len(payload) <= LONGEST:
            heard[known].append({"topic": topic, "retain": retain, "payload": payload.decode()})
        take(self, wire, topic, payload, retain)

    Broker.take = listening  # type: ignore[method-assign]
    try:
        run_seed(seed)
    finally:
        Broker.take = take  # type: ignore[method-assign]
    return heard


def keys(names: set[str]) -> dict[str, str]:
    """Name -> the 32 bytes of its public key, base64; the world makes keys from names."""
    return {
        name: base64.b64encode(key_of(name).public_key().public_bytes_raw()).decode()
        for name in sorted(names)
    }


def main() -> int:
    heard = record(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    EXAMPLES.mkdir(exist_ok=True)
    for old in EXAMPLES.glob("*.json"):
        old.unlink()
    signers = {"hub"}
    for topic, said in heard.items():
        if said:
            signers |= {part for each in said for part in [each["topic"].split("/")[4:5]] for part in part}
            text = json.dumps(said, ensure_ascii=False, indent=1) + "\n"
            (EXAMPLES / f"{topic}.json").write_text(text, encoding="utf-8")
    lanes = {name for name in signers if name.startswith("lane")}
    (EXAMPLES / "public_keys.json").write_text(
        json.dumps(keys({"hub"} | lanes), indent=1) + "\n", encoding="utf-8"
    )
    sys.stdout.write("no example of " + ", ".join(t for t, said in heard.items() if not said) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
