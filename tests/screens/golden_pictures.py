"""Golden views of what shows pictures, and the pictures themselves: a parcel's goods, drawn, and drawn
again with a thing more in it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.handheld.comparing_screen import CAMERA, ComparingView, PictureShown
from edge.handheld.live import LiveView
from edge.handheld.screens.desk import Frame
from sync.vocabulary.rulings import Text

Pixels = NDArray[np.uint8]


@cache
def goods(with_more: bool = False, size: tuple[int, int] = (640, 480)) -> Pixels:
    """(rows, columns, 3) red, green, blue: a box with many small things in it, always the same ones."""
    chance = np.random.default_rng(5)
    columns, rows = size
    picture = np.full((rows, columns, 3), (196, 178, 150), np.uint8)
    cv2.rectangle(picture, (30, 30), (columns - 30, rows - 30), (150, 128, 96), -1)
    for _ in range(160):
        x, y = (int(n) for n in chance.integers((40, 40), (columns - 60, rows - 60)))
        colour = tuple(int(n) for n in chance.integers(20, 255, 3))
        if chance.random() < 0.5:
            cv2.circle(picture, (x, y), int(chance.integers(6, 18)), colour, -1)
        else:
            right, low = x + int(chance.integers(8, 34)), y + int(chance.integers(8, 26))
            cv2.rectangle(picture, (x, y), (right, low), colour, -1)
    if with_more:
        cv2.rectangle(picture, (400, 120), (520, 200), (20, 20, 24), -1)
    return picture


@cache
def jpeg(with_more: bool = False) -> bytes:
    picture = goods(with_more)
    if with_more:
        turned = cv2.getRotationMatrix2D((320, 240), 7.0, 0.94)
        picture = np.asarray(cv2.warpAffine(picture, turned, (640, 480), borderValue=(90, 90, 90)), np.uint8)
    return bytes(cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1])


@cache
def label() -> Frame:
    """What a camera sees that is aimed at a label."""
    picture = np.full((480, 640, 3), (120, 130, 140), np.uint8)
    cv2.rectangle(picture, (150, 180), (500, 300), (250, 250, 250), -1)
    for n in range(60):
        cv2.rectangle(picture, (180 + n * 5, 200), (181 + n * 5 + n % 3, 280), (0, 0, 0), -1)
    return Frame(1, picture)


PICTURES = (
    PictureShown("x_ray:0", Text("机检 2 号线 异常", "X-ray line 2, flagged"), "x_ray", "", jpeg()),
    PictureShown("reference:R-1", Text("参考图 奶粉礼盒", "Reference, milk powder box"), "photo", "", jpeg()),
    PictureShown("ab" * 32, Text("现场照片", "Photo taken here"), "photo", "ab" * 32),
    PictureShown(CAMERA, Text("相机现在", "Camera now"), "camera"),
)
NOTHING = ComparingView("", False, PICTURES[-1:], "", CAMERA, "beside", False, False, False, None)
BESIDE = ComparingView(
    "SF1386570000178", False, PICTURES, "reference:R-1", "ab" * 32, "beside", True, True, False, None
)
OVER = replace(BESIDE, lay="over", shows_differences=False)
WITH_CAMERA = replace(BESIDE, right=CAMERA, may_show_differences=False, shows_differences=False)

IDLE = LiveView(
    phase="idle",
    title=Text("实时音视频", "Live to the centre"),
    message=Text("已到时限", "Time limit reached"),
    mark=None,
    left_s=0.0,
    watchers=(),
    is_recorded=False,
    asks_record=False,
    asks_sound=False,
    may_be_recorded=False,
    sound=False,
    muted=False,
    hidden=False,
    may_begin=True,
    flow=None,
)
ASKED = replace(
    IDLE,
    phase="asked",
    title=Text("中心请求实时画面", "The centre asks to see"),
    message=Text("指挥长 0007：请看 3 号货架", "Shift leader 0007: show me shelf 3, please"),
    left_s=43.0,
    asks_record=True,
    asks_sound=True,
)
LIVE = replace(
    IDLE,
    phase="live",
    title=Text("中心正在观看", "The centre is watching"),
    message=None,
    mark=Text("● 中心正在观看", "● LIVE to the centre"),
    left_s=312.0,
    watchers=("0007", "0012"),
    is_recorded=True,
    sound=True,
    muted=True,
    flow=Text("640×480，10 帧/秒，延迟 0.2 秒", "640 x 480, 10 pictures/s, 0.2 s late"),
)
