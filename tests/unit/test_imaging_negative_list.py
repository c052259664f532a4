"""What declared goods cannot be: rows chosen, limits kept, words said, tables refused."""

from __future__ import annotations

import pytest

from edge.xray_bridge.imaging.negative_list import (
    STANDARD,
    NegativeList,
    NegativeListRefused,
    broken,
)
from edge.xray_bridge.values import Material, MaterialShare


def shares(organic: float = 0.0, light: float = 0.0, metal: float = 0.0) -> list[MaterialShare]:
    return [
        MaterialShare(Material.ORGANIC, 0.5, organic),
        MaterialShare(Material.LIGHT_INORGANIC, 0.2, light),
        MaterialShare(Material.METAL, 0.2, metal),
        MaterialShare(Material.IMPENETRABLE, 0.1, None),
    ]


def materials(hs_codes: list[str], impenetrable_cm2: float = 0.0, **kg: float) -> list[tuple[Material, bool]]:
    found = broken(shares(**kg), impenetrable_cm2, hs_codes)
    return [(each.material, each.over > 1) for each in found]


@pytest.mark.parametrize(
    ("hs_code", "kg", "impenetrable_cm2", "expected"),
    [
        ("6110300011", {"organic": 0.9, "metal": 0.03}, 0.0, []),  # a zip
        ("6110300011", {"organic": 0.9, "metal": 0.5}, 0.0, [Material.METAL]),
        ("6110300011", {"organic": 0.2, "metal": 0.06}, 0.0, []),  # a light thing with a heavy zip
        ("6110300011", {"organic": 9.0, "metal": 0.5}, 0.0, []),  # twenty coats with their zips
        ("6110300011", {"organic": 0.9}, 12.0, [Material.IMPENETRABLE]),
        ("6110300011", {"organic": 0.05, "metal": 0.6}, 0.0, [Material.METAL, Material.ORGANIC]),
        ("1901101000", {"organic": 0.4, "light": 1.5, "metal": 0.1}, 0.0, []),  # powder in tins
        ("1806310000", {"organic": 0.5, "metal": 0.4}, 0.0, [Material.METAL]),
        ("2204210000", {"organic": 1.5, "light": 0.8}, 0.0, []),  # wine in glass
        ("7323930000", {"organic": 1.2, "metal": 0.01}, 0.0, [Material.METAL]),  # a pan without metal
        ("7615109010", {"light": 1.2, "organic": 0.2}, 0.0, []),  # a pan of aluminium
        ("8517130000", {"organic": 0.3, "metal": 0.15}, 2.0, []),
        ("4901990000", {"organic": 2.0, "metal": 0.01}, 0.0, []),
    ],
)
def test_what_the_declared_goods_cannot_be_is_told_and_nothing_else(
    hs_code: str, kg: dict[str, float], impenetrable_cm2: float, expected: list[Material]
) -> None:
    found = materials([hs_code], impenetrable_cm2, **kg)
    assert sorted(each for each, _ in found) == sorted(expected)
    assert all(over for _, over in found)


def test_a_parcel_of_several_goods_may_hold_what_any_of_them_may() -> None:
    metal = {"organic": 0.5, "metal": 0.5}
    assert materials(["6110300011"], **metal) != []
    assert materials(["6110300011", "8517130000"], **metal) == []


def test_goods_without_a_row_are_not_judged_and_a_code_that_is_none_neither() -> None:
    for codes in (["9999000000"], ["", "6110300011"], ["x"], [], ["6110300011", "2523210000"]):
        assert materials(codes, 40.0, organic=0.5, metal=2.0) == []


def test_a_heading_goes_before_its_chapter() -> None:
    tin, biscuits = STANDARD.row_for("1901.10.1000"), STANDARD.row_for("1905310000")
    assert tin is not None
    assert biscuits is not None
    assert (tin.en, biscuits.en) == ("food and drink in tins", "food")


def test_the_words_name_the_goods_and_the_amount_in_both_languages() -> None:
    found = broken(shares(organic=0.9, metal=0.5), 0.0, ["6110300011"])[0]
    assert found.words.zh == "申报为纺织品、服装，图像中金属约 0.50 kg，占 36%"
    assert found.words.en == "declared textiles and clothing: about 0.50 kg of metal, 36% of all"


def test_a_sites_table_comes_back_from_its_text_and_a_wrong_one_is_refused() -> None:
    assert NegativeList.read(STANDARD.text()) == STANDARD
    for text, expected in (
        ("{}", "version"),
        ('{"version":"1","rows":[{"chapters":[0],"zh":"x","en":"x"}]}', r"\$.rows\[0\].chapters"),
        ('{"version":"1","rows":[{"chapters":[1],"zh":"x","en":"x","metal_share":2}]}', "metal_share"),
        ('{"version":"1","rows":[{"chapters":[1],"zh":"x","en":"x","metals":1}]}', "metals"),
        (" " * 600_000, "500000"),
    ):
        with pytest.raises(NegativeListRefused, match=expected):
            NegativeList.read(text)
