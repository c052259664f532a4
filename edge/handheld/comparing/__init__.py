"""图像同屏比对: two pictures of a parcel brought onto one screen. Pure: no widget, file, clock.

`compare` says where they differ or why they cannot be compared; `panes` keeps two views on the same spot.
"""

from edge.handheld.comparing.aligning import Alignment, NotAligned, Why, align
from edge.handheld.comparing.differing import Comparison, compare
from edge.handheld.comparing.panes import Divider, Pane, PanZoom, linked
from edge.handheld.comparing.pictures import Kind, Picture

__all__ = [
    "Alignment",
    "Comparison",
    "Divider",
    "Kind",
    "NotAligned",
    "PanZoom",
    "Pane",
    "Picture",
    "Why",
    "align",
    "compare",
    "linked",
]
