"""A handheld's config: read whole or refused whole, every error named."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.handheld_device import DEVICE, lay_out_empty
from edge.handheld.config import read_handheld_config
from edge.handheld.context import ScannerSource
from edge.runtime.config_reading import ConfigRefused
from sync.link.keys import make_private


def written(folder: Path, extra: str = "", *changes: tuple[str, str]) -> Path:
    path = lay_out_empty(
        folder, device=make_private(), hub=make_private(), port=1883, extra=extra
    ).config_path
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_left_out_has_defaults_that_work(tmp_path: Path) -> None:
    config = read_handheld_config(written(tmp_path))
    assert config.device.id == DEVICE
    assert config.scanner.sources == (ScannerSource.CAMERA, ScannerSource.WEDGE)
    assert config.live is None
    assert config.evidence.keep_free_mb >= config.store.reserve_mb


def test_every_error_is_named_at_once(tmp_path: Path) -> None:
    extra = '[scanner]\nsources = ["serial"]\n[live]\nhost = "centre.example"\n'
    changes = (("keep_free_mb = 1", "keep_free_mb = 0"), ('"127.0.0.1"', '"broker.example"'))
    with pytest.raises(ConfigRefused) as refused:
        read_handheld_config(written(tmp_path, extra, *changes))
    assert {error.key for error in refused.value.errors} == {
        "scanner.serial",
        "evidence.keep_free_mb",
        "sync.allow_plaintext_outside_loopback",
        "live.allow_plaintext",
        "live.allow_plaintext_outside_loopback",
    }


@pytest.mark.parametrize("wrong", ["[storage]\n", "[scanner]\nsource = 'camera'\n", "[clock]\n"])
def test_what_nobody_knows_or_stands_twice_stops_the_start(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ConfigRefused):
        read_handheld_config(written(tmp_path, wrong))


def test_a_key_that_strangers_may_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    (tmp_path / "device.key").chmod(0o644)
    with pytest.raises(ConfigRefused, match="key_file"):
        read_handheld_config(path)
