"""Scores over time: repeated frames, a moving camera, burnt-in borders and overlays.

Pictures are luma, uint8 (SMALL, SMALL); memory does not grow with their number.
"""

import cv2
import numpy as np

SMALL = 256
"""Side of the pictures that are compared over time, pixels."""
CELLS = 8
"""Cells a side in which change is looked for: a mouth alone fills one."""
SAME_LEVELS = 0.15
"""Mean change of the cell that changes most, levels of 255, below which a frame repeats the one
before. Frozen frames after encoding: 0.06 (median); living faces: 2.5 and more in 95 % of frames,
an animated still 0.2 and more (nine clips)."""
CORNERS, FEWEST_CORNERS = 60, 6
STRONG_EDGE = 12.0
"""Gradient of an edge that is looked at for overlays, levels a pixel."""
STILL_PX = 0.06
"""An edge whose luma varies by less than this many pixels' worth of its gradient stands still.
Edges of living faces move by more; of nine clips none had such an edge within the face."""
FEWEST_LOOKS = 8
"""Frames to see before something is said to stand still: for a moment a face may, too."""
EVEN_LEVELS = 2.0
"""Deviation along a line and over time below which a line is of one colour, levels."""
BORDER_STEP = 6.0
"""Least step from a border to the picture, levels."""


class Repeats:
    """Which frames repeat the one before."""

    def __init__(self) -> None:
        self._before: np.ndarray | None = None
        self._same: list[bool] = []

    def see(self, small: np.ndarray) -> None:
        """Look at the next frame."""
        if self._before is not None:
            change = cv2.absdiff(small, self._before)
            cells = cv2.resize(
                change.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA
            )
            self._same.append(bool(cells.max() < SAME_LEVELS))
        self._before = small

    def scores(self, fps: float) -> dict[str, float]:
        """Return the share of repeated frames and the longest freeze, seconds."""
        if not self._same:
            return {}
        edges = np.flatnonzero(np.diff(np.array([False, *self._same, False]).astype(int)))
        longest = int((edges[1::2] - edges[::2]).max()) if len(edges) else 0
        return {"repeat_share": float(np.mean(self._same)), "freeze_s": longest / fps}


class Camera:
    """How fast the background moves."""

    def __init__(self) -> None:
        self._before: np.ndarray | None = None
        self._moves: list[float] = []

    def see(self, small: np.ndarray, face: tuple[int, int, int, int]) -> None:
        """Look at the next of the frames that are compared; `face` left, top, right, bottom."""
        if self._before is not None:
            self._track(self._before, small, face)
        self._before = small

    def _track(
        self, before: np.ndarray, small: np.ndarray, face: tuple[int, int, int, int]
    ) -> None:
        mask = np.full(small.shape, 255, np.uint8)
        wide = (face[2] - face[0]) // 5
        mask[max(0, face[1] - wide) :, max(0, face[0] - wide) : face[2] + wide] = 0
        corners = cv2.goodFeaturesToTrack(before, CORNERS, 0.01, 6, mask=mask)
        if corners is None or len(corners) < FEWEST_CORNERS:
            return
        places, found, _ = cv2.calcOpticalFlowPyrLK(before, small, corners, None)
        moved = (places - corners)[found.ravel() == 1].reshape(-1, 2)
        if len(moved) >= FEWEST_CORNERS:
            self._moves.append(float(np.linalg.norm(np.median(moved, axis=0))))

    def scores(self, seconds: float) -> dict[str, float]:
        """Return the background's speed in clip sides a second; `seconds` between frames seen."""
        if not self._moves:
            return {}
        return {"camera_motion": float(np.median(self._moves)) / SMALL / seconds}


class StillParts:
    """What stands still while the rest moves: borders and overlays."""

    def __init__(self) -> None:
        self._count = 0
        self._sum = np.zeros((SMALL, SMALL), np.float32)
        self._squares = np.zeros((SMALL, SMALL), np.float32)

    def see(self, small: np.ndarray) -> None:
        """Look at the next frame."""
        self._count += 1
        cv2.accumulate(small, self._sum)
        cv2.accumulateSquare(small, self._squares)

    def scores(self, face: tuple[int, int, int, int]) -> dict[str, float]:
        """Return the shares of borders in the picture and of still edges over face and chest."""
        if self._count < 2:
            return {}
        mean = self._sum / self._count
        deviation = np.sqrt(np.maximum(self._squares / self._count - mean**2, 0))
        scores = {"border_share": border_share(mean, deviation)}
        if self._count >= FEWEST_LOOKS:
            left, top, right, _ = face
            beside = (right - left) // 5  # where a background may show
            part = still_edges(mean, deviation)[top:, left + beside : right - beside]
            scores["overlay_share"] = float(part.mean())
        return scores


def still_edges(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Return where an edge stands still, bool (H, W), of float32 (H, W) over time, levels."""
    across, down = (cv2.Sobel(mean, cv2.CV_32F, *way) / 8 for way in ((1, 0), (0, 1)))
    gradient = cv2.magnitude(across, down)
    return (gradient > STRONG_EDGE) & (deviation < STILL_PX * gradient)


def border_share(mean: np.ndarray, deviation: np.ndarray) -> float:
    """Return the share of the picture that is even lines along its edges, ended by a step."""
    rows = [_border(m, d) for m, d in ((mean, deviation), (mean[::-1], deviation[::-1]))]
    columns = [
        _border(m.T, d.T) for m, d in ((mean, deviation), (mean[:, ::-1], deviation[:, ::-1]))
    ]
    height, width = mean.shape
    inside = max(0, height - sum(rows)) * max(0, width - sum(columns))
    return 1 - inside / (height * width)


def _border(mean: np.ndarray, deviation: np.ndarray) -> int:
    """Return how many first rows are of one colour; 0 where no step ends them."""
    even = (mean.std(axis=1) < EVEN_LEVELS) & (deviation.max(axis=1) < EVEN_LEVELS)
    even &= np.abs(mean.mean(axis=1) - mean[0].mean()) < EVEN_LEVELS
    count = len(even) if even.all() else int(even.argmin())
    if count in (0, len(even)):
        return 0
    after = np.abs(mean[min(count + 1, len(mean) - 1)] - mean[0].mean())
    return count if after.mean() > BORDER_STEP else 0
