"""`kakou slips …` from issuing to revoking, on a hub's config and a lane's records file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from edge.cli import app
from sync.hub.archive import Archive, RecordChange
from sync.link.keys import make_private, private_pem, public_pem
from sync.link.messages import Change, ChangeOp, FeedBatch
from sync.store.records import Records, new_generation
from sync.vocabulary.codec import to_json
from sync.vocabulary.numbers import UtcText
from tests.machine.plays import FINDINGS

(SLIP,) = (
    msgspec.structs.replace(
        slip, valid_from=UtcText("2020-01-01T00:00:00Z"), valid_until=UtcText("2999-01-01T00:00:00Z")
    )
    for slip in FINDINGS.slips
)


def say(*args: str | Path, stdin: str | None = None) -> tuple[int, str]:
    """Exit code and all that was said; stdout is no terminal."""
    result = CliRunner().invoke(app, [str(arg) for arg in args], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    for name in ("hub", "slips"):
        key = make_private()
        (tmp_path / f"{name}.key").write_bytes(private_pem(key))
        (tmp_path / f"{name}.key").chmod(0o600)
        (tmp_path / f"{name}.pub").write_bytes(public_pem(key.public_key()))
    config = tmp_path / "hub.toml"
    config.write_text(
        'site = "demo"\n[store]\narchive = "archive.sqlite"\n'
        '[sync]\nkey_file = "hub.key"\nscopes = ["demo"]\nallow_plaintext = true\n'
        '[slips]\nkey_file = "slips.key"\nissuer = "zhengzhou"\nvalid_h = 2\n'
    )
    return config


def records(hub: Path, generation: int) -> Path:
    """A lane's records with all that the hub has."""
    archive = Archive.open(hub.parent / "archive.sqlite")
    scope = archive.scope("demo")
    assert scope is not None
    log = archive.log_after("demo", scope.epoch, 0)
    changes = tuple(Change(r.number, r.collection, r.key, ChangeOp(r.op), r.body) for r in log)
    path = new_generation(hub.parent, generation, "demo", scope.epoch)
    with Records.open(path, writable=True) as writer:
        writer.apply(FeedBatch("demo", scope.epoch, 1, len(changes), changes))
    archive.close()
    return path


def test_a_code_is_issued_looked_at_verified_and_revoked_with_its_key(hub: Path) -> None:
    (key,) = rows(say("slips", "key", hub)[1])
    assert (key["state"], key["issuer"]) == ("active", "zhengzhou")
    before = records(hub, 1)
    archive = Archive.open(hub.parent / "archive.sqlite")
    with archive.transaction():
        body = to_json(SLIP).decode()
        archive.apply_changes("demo", [RecordChange("release_slips", SLIP.slip_no, body)], "2026-01-01")
    archive.close()
    code, text = say("slips", "issue", hub, SLIP.slip_no)
    assert code == 0
    assert text.startswith("KS1:")

    (told,) = rows(say("slips", "show", "-", stdin=text)[1])
    assert (told["slip_no"], told["plate"], told["kid"]) == (SLIP.slip_no, SLIP.plate, key["kid"])
    text = text.rstrip("\n")
    for by, expected in (
        (("--key", hub.parent / "slips.pub"), (0, "signed")),
        (("--key", hub.parent / "hub.pub"), (1, "refused")),
        (("--records", before), (0, "stands")),
        (("--records", records(hub, 2)), (0, "records")),
    ):
        code, out = say("slips", "verify", text, *by)
        assert (code, rows(out)[0]["standing"]) == expected
    say("slips", "key", hub, "--revoke", key["kid"])
    code, out = say("slips", "verify", text, "--records", records(hub, 3))
    assert (code, rows(out)[0]["why"]) == (1, f"key {key['kid']} was revoked")
    code, out = say("slips", "issue", hub, SLIP.slip_no, "Z4604I261122000000000099")
    assert code == 1
    assert "is not in force" in out
    assert "is not in scope" in out


def test_wrong_use_is_told(hub: Path, tmp_path: Path) -> None:
    assert say("slips", "show", "HC1:NCF")[0] == 1
    assert say("slips", "verify", "KS1:")[0] == 1
    plain = hub.read_text().partition("[slips]")[0]
    (tmp_path / "plain.toml").write_text(plain)
    code, out = say("slips", "issue", tmp_path / "plain.toml", SLIP.slip_no)
    assert code == 2
    assert "[slips]" in out
    hub.write_text(plain + '[slips]\nkey_file = "none.key"\nvalid_h = 0\nother = 1\n')
    code, out = say("slips", "key", hub)
    assert code == 2
    for named in ("slips.key_file", "slips.valid_h", "slips.other"):
        assert named in out
