"""Where a fact stands in the journal's file: one integer that sorts by epoch, stream and sequence.

The routine stream has the highest number of an epoch: nearly every new fact lands at the table's right edge.
"""

from __future__ import annotations

from sync.vocabulary.facts import Stream

SEQ_BITS = 44
STREAM_BITS = 4
STREAM_NUMBERS: dict[Stream, int] = {Stream.ALARM: 1, Stream.ROUTINE: 2}
STREAMS: tuple[Stream, ...] = tuple(STREAM_NUMBERS)


def first_place(epoch_no: int, stream: Stream) -> int:
    """The place of sequence 0, which no fact has; sequence `n` stands at this plus `n`."""
    return ((epoch_no << STREAM_BITS) | STREAM_NUMBERS[stream]) << SEQ_BITS


def last_place(epoch_no: int, stream: Stream) -> int:
    """The highest place a fact of this epoch and stream can have."""
    return first_place(epoch_no, stream) + (1 << SEQ_BITS) - 1
