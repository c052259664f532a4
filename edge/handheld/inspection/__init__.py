"""Inspection in three steps: order, carrying out, finding with its handling (查验指令, 实施查验, 异常处置).

A draft is kept at every touch; nothing of it is told to the centre as an inspection before the officer has
seen what is missing and sends it. Evidence is: a picture's hash is in the journal when it is on the disk.

`room` leads each event to the one that decides it; `wants` are the page's intents, `shown` its view, `state`
what is kept. Values only: no port, clock or disk.
"""

from edge.handheld.inspection.room import step
from edge.handheld.inspection.showing import view
from edge.handheld.inspection.shown import InspectionView
from edge.handheld.inspection.state import Event, State, kept
from edge.handheld.inspection.wants import Intent

__all__ = ["Event", "InspectionView", "Intent", "State", "kept", "step", "view"]
