"""Makes the Chinese fonts the handheld ships: `python packaging/subset_fonts.py [FOLDER]`, with fonttools
installed.

From Noto Sans CJK SC (SIL Open Font License 1.1; Debian: fonts-noto-cjk), whose licence lets parts be shipped
under the same licence, which lies beside them. Kept: Latin, GB 2312 (6,763 characters and its signs), and
whatever else our own sources say. Hints go: no screen of ours is coarse enough to need them.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTCollection

HOUSE = Path(__file__).resolve().parents[1]
SYSTEM = Path("/usr/share/fonts/opentype/noto")
SIMPLIFIED = "Noto Sans CJK SC"


def gb2312() -> set[int]:
    """Every character two bytes of GB 2312 stand for."""
    pairs = (bytes((row, cell)) for row in range(0xA1, 0xF8) for cell in range(0xA1, 0xFF))
    return {ord(pair.decode("gb2312")) for pair in pairs if pair.decode("gb2312", "ignore")}


def ours() -> set[int]:
    """What our own texts say."""
    sources = [path for room in ("edge", "sync") for path in (HOUSE / room).rglob("*.py")]
    return {ord(sign) for path in sources for sign in path.read_text(encoding="utf-8")}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HOUSE / "edge/handheld/screens/fonts"
    wanted = {*range(0x20, 0x7F), *range(0xA0, 0x180), *range(0x2010, 0x2027), *gb2312(), *ours()}
    for weight in ("Regular", "Bold"):
        faces = TTCollection(SYSTEM / f"NotoSansCJK-{weight}.ttc").fonts
        face = next(face for face in faces if face["name"].getDebugName(1).startswith(SIMPLIFIED))
        options = subset.Options(hinting=False, desubroutinize=False, layout_features=["kern", "mark"])
        options.name_IDs = ["*"]
        options.notdef_outline = True
        cut = subset.Subsetter(options)
        cut.populate(unicodes=sorted(wanted))
        cut.subset(face)
        face.save(folder / f"NotoSansCJKsc-{weight}-subset.otf")
    if len(sys.argv) == 1:
        # Labels of trace codes have the same letters; the hub knows nothing of the handheld.
        shutil.copy(folder / "NotoSansCJKsc-Regular-subset.otf", HOUSE / "sync/hub/fonts")


if __name__ == "__main__":
    main()
