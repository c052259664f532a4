"""G.711 against the recommendation's own tables: decision and quantizing values, all codes, both ways."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest

from edge.handheld.live.g711 import from_a_law, from_mu_law, to_a_law, to_mu_law

# ITU-T G.711 (1988) table 2a: fifteen intervals of 2 after one of 1, then sixteen of 4 ... 256, in 14 bits.
MU_STEPS = [1] + [2] * 15 + [step for width in (4, 8, 16, 32, 64, 128, 256) for step in [width] * 16]
# Table 1a: thirty-two intervals of 2, then sixteen of 4 ... 128, in 13 bits; 4,096 is the virtual last value.
A_STEPS = [2] * 32 + [step for width in (4, 8, 16, 32, 64, 128) for step in [width] * 16]


def decisions(steps: list[int]) -> list[int]:
    return [0, *(int(each) for each in np.cumsum(steps))]


def mu_code(interval: int) -> int:
    """Table 2a, column 6: 1 0000000 for the loudest positive interval, 1 1111111 for the softest."""
    return 0x80 | (127 - interval)


def a_code(interval: int) -> int:
    """Table 1a, column 6, with the even bits inverted as note 2 says they are sent."""
    return (0x80 | interval) ^ 0x55


def test_the_tables_say_what_the_recommendation_prints() -> None:
    mu = decisions(MU_STEPS)
    assert (mu[16], mu[32], mu[48], mu[64], mu[80], mu[96], mu[112]) == (31, 95, 223, 479, 991, 2015, 4063)
    assert mu[128] == 8159
    a = decisions(A_STEPS)
    assert (a[32], a[48], a[64], a[80], a[96], a[112], a[128]) == (64, 128, 256, 512, 1024, 2048, 4096)


@pytest.mark.parametrize("interval", range(128))
def test_every_mu_law_code_stands_for_its_quantizing_value(interval: int) -> None:
    low, high = decisions(MU_STEPS)[interval : interval + 2]
    value = 0 if interval == 0 else (low + high) // 2
    code = mu_code(interval)
    assert from_mu_law(bytes([code, code & 0x7F])).tolist() == [4 * value, -4 * value]


@pytest.mark.parametrize("interval", range(128))
def test_every_a_law_code_stands_for_its_quantizing_value(interval: int) -> None:
    low, high = decisions(A_STEPS)[interval : interval + 2]
    code = a_code(interval)
    value = (low + high) // 2
    assert from_a_law(bytes([code, code ^ 0x80])).tolist() == [8 * value, -8 * value]


@pytest.mark.parametrize("interval", range(128))
def test_every_interval_between_decision_values_gives_its_code_in_both_laws(interval: int) -> None:
    low, high = decisions(MU_STEPS)[interval : interval + 2]
    # 14 bits within 16: the last interval goes on to the end of what 16 bits hold.
    inside = np.array([4 * low, 4 * high - 1], np.int16)
    assert set(to_mu_law(inside)) == {mu_code(interval)}
    low, high = decisions(A_STEPS)[interval : interval + 2]
    inside = np.array([8 * low, min(8 * high - 1, 32_767)], np.int16)
    assert set(to_a_law(inside)) == {a_code(interval)}


def test_what_is_decoded_is_encoded_to_the_same_code() -> None:
    codes = bytes(range(256))
    # Of mu-law's two zeros the positive one is sent.
    assert to_mu_law(from_mu_law(codes)) == codes.replace(b"\x7f", b"\xff")
    assert to_a_law(from_a_law(codes)) == codes


def test_the_loudest_samples_are_clipped_and_not_wrapped() -> None:
    loudest = np.array([32_767, -32_768], np.int16)
    assert from_mu_law(to_mu_law(loudest)).tolist() == [32_124, -32_124]
    assert from_a_law(to_a_law(loudest)).tolist() == [32_256, -32_256]


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="audioop has left Python in 3.13")
def test_all_65536_samples_agree_with_another_coder() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import audioop
    samples = np.arange(-32_768, 32_768, dtype=np.int16)
    assert to_mu_law(samples) == audioop.lin2ulaw(samples.tobytes(), 2)
    assert to_a_law(samples) == audioop.lin2alaw(samples.tobytes(), 2)
    codes = bytes(range(256))
    assert from_mu_law(codes).astype("<i2").tobytes() == audioop.ulaw2lin(codes, 2)
    assert from_a_law(codes).astype("<i2").tobytes() == audioop.alaw2lin(codes, 2)
