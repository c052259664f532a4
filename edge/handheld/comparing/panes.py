"""Two views that stay on the same spot, and the line between two pictures lying over each other. Pure values.

Lengths are dots: of a pane (screen) or of a picture. y goes down, as in pictures; a widget whose y goes
up turns it at its own edge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from edge.handheld.comparing.aligning import Alignment, slope

NEAREST = 16.0
"""Dots of the pane a dot of the picture at most."""


@dataclass(frozen=True, slots=True)
class Pane:
    """A rectangle of the screen that shows a picture of `picture_size`. (columns, rows), each at least 1."""

    size: tuple[float, float]
    picture_size: tuple[int, int]

    def __post_init__(self) -> None:
        if min(*self.size, *self.picture_size) < 1:
            raise ValueError(f"expected sizes of at least 1, got {self.size} and {self.picture_size}")

    @property
    def whole(self) -> PanZoom:
        """The whole picture, in the middle."""
        columns, rows = self.picture_size
        zoom = min(self.size[0] / columns, self.size[1] / rows)
        return PanZoom(x=(columns - 1) / 2, y=(rows - 1) / 2, zoom=min(zoom, NEAREST))

    def kept(self, view: PanZoom) -> PanZoom:
        """The nearest view that shows something: its middle lies on the picture, and it is not smaller than
        the whole picture."""
        columns, rows = self.picture_size
        return replace(
            view,
            x=min(max(view.x, 0.0), columns - 1.0),
            y=min(max(view.y, 0.0), rows - 1.0),
            zoom=min(max(view.zoom, self.whole.zoom), max(NEAREST, self.whole.zoom)),
        )

    def dragged(self, view: PanZoom, right: float, down: float) -> PanZoom:
        """After a finger drew the picture along by so many dots of the pane."""
        x, y = view.picture_step(right, down)
        return self.kept(replace(view, x=view.x - x, y=view.y - y))

    def zoomed(self, view: PanZoom, factor: float, at: tuple[float, float]) -> PanZoom:
        """`factor` times as near; what is under the point `at` of the pane stays there as far as it can.
        A factor that is no positive number changes nothing."""
        if not (math.isfinite(factor) and factor > 0):
            return view
        before = self.to_picture(view, *at)
        nearer = self.kept(replace(view, zoom=view.zoom * factor))
        after = self.to_picture(nearer, *at)
        return self.kept(
            replace(nearer, x=nearer.x + before[0] - after[0], y=nearer.y + before[1] - after[1])
        )

    def to_picture(self, view: PanZoom, x: float, y: float) -> tuple[float, float]:
        """A point of the pane -> the dot of the picture that is shown there."""
        across, down = view.picture_step(x - self.size[0] / 2, y - self.size[1] / 2)
        return view.x + across, view.y + down

    def to_pane(self, view: PanZoom, x: float, y: float) -> tuple[float, float]:
        """A dot of the picture -> where the pane shows it; may lie outside."""
        right, down = view.pane_step(x - view.x, y - view.y)
        return self.size[0] / 2 + right, self.size[1] / 2 + down


@dataclass(frozen=True, slots=True)
class PanZoom:
    """How a pane looks at its picture."""

    x: float
    """Dot of the picture in the middle of the pane."""
    y: float
    zoom: float
    """Dots of the pane a dot of the picture."""
    turned_rad: float = 0.0
    """How far the picture is turned, clockwise as one sees it."""
    mirrored: bool = False
    """Left and right changed, before it is turned."""

    def pane_step(self, across: float, down: float) -> tuple[float, float]:
        across = -across if self.mirrored else across
        cos, sin = math.cos(self.turned_rad), math.sin(self.turned_rad)
        return self.zoom * (cos * across - sin * down), self.zoom * (sin * across + cos * down)

    def picture_step(self, right: float, down: float) -> tuple[float, float]:
        cos, sin = math.cos(self.turned_rad), math.sin(self.turned_rad)
        across, along = (cos * right + sin * down) / self.zoom, (-sin * right + cos * down) / self.zoom
        return (-across if self.mirrored else across), along


def linked(view: PanZoom, left: Pane, right: Pane, alignment: Alignment | None) -> PanZoom:
    """The right pane's view that shows what the left one shows: the same spot in its middle, as large, and
    turned the same way. A widget can turn, mirror and enlarge a picture but not tilt it, so this is the map's
    best fit at that spot. Without an alignment both panes show the same share of their pictures.
    """
    if alignment is None:
        (columns, rows), (others, deep) = left.picture_size, right.picture_size
        return right.kept(
            PanZoom(
                x=(view.x + 0.5) * others / columns - 0.5,
                y=(view.y + 0.5) * deep / rows - 0.5,
                zoom=view.zoom / left.whole.zoom * right.whole.zoom,
                turned_rad=view.turned_rad,
                mirrored=view.mirrored,
            )
        )
    x, y = alignment.to_picture(view.x, view.y)
    # One step of the pane, as the left view shows it, is so many dots of the right picture.
    step = (
        slope(alignment.matrix, view.x, view.y)
        @ np.array([view.picture_step(1.0, 0.0), view.picture_step(0.0, 1.0)]).T
    )
    mirrored = bool(np.linalg.det(step) < 0)
    # Pane steps of a dot of the right picture; the nearest turn and size to it (Procrustes).
    back = np.linalg.inv(step) @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    turned = math.atan2(back[1, 0] - back[0, 1], back[0, 0] + back[1, 1])
    zoom = math.sqrt(abs(float(np.linalg.det(back))))
    return PanZoom(x=x, y=y, zoom=zoom, turned_rad=turned, mirrored=mirrored)


@dataclass(frozen=True, slots=True)
class Divider:
    """Left of it the reference shows, right of it the picture that is laid over it."""

    share: float = 0.5
    """Of the pane's width, 0 to 1."""

    def moved_to(self, x: float, width: float) -> Divider:
        """Under a finger at `x` of a pane `width` wide."""
        return Divider(min(max(x / width, 0.0), 1.0)) if width > 0 else self

    def at(self, width: float) -> float:
        return self.share * width
