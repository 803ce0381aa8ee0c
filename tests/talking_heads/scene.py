"""One frame of a shot: who stands where, and the picture of it."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from tests.talking_heads import portrait
from tests.talking_heads.portrait import Pixels, Portrait
from tests.talking_heads.script import Background, Face, Shot
from tests.talking_heads.truth import FaceTruth, Point

PICTURE = (128, 2, 324, 208)
"""Photograph rectangle that a framed picture shows."""
BLINK_EVERY_S, BLINK_S = 2.9, 0.24


class Stage:
    """Draws the frames of one shot at `width` x `height` pixels."""

    def __init__(self, shot: Shot, width: int, height: int) -> None:
        self.shot = shot
        self.size = (width, height)
        self.backdrop = _backdrop(shot.background, width + int(abs(shot.pan_px)), height)
        self.portraits = [Portrait(face.identity, _texture_scale(face)) for face in shot.faces]

    def draw(self, time_s: float, lips: list[float]) -> tuple[Pixels, tuple[FaceTruth, ...]]:
        """BGR picture uint8 (height, width, 3) and truth at `time_s` of the shot.

        `lips` opens each face's mouth, 0 closed .. 1 wide.
        """
        progress = time_s / self.shot.duration_s
        pan = int(abs(self.shot.pan_px) * (progress if self.shot.pan_px > 0 else 1 - progress))
        frame = self.backdrop[:, pan : pan + self.size[0]].copy()
        truth = []
        for index, (face, head) in enumerate(zip(self.shot.faces, self.portraits, strict=True)):
            lip_shift = portrait.CLOSED + lips[index] * (portrait.OPEN - portrait.CLOSED)
            matrix = _place(face, index, time_s, progress, self.size)
            head.pose(lip_shift, _blink(time_s + 1.1 * index))
            _draw_person(frame, head, matrix, face.framed)
            truth.append(_tell(face, index, matrix, lip_shift, self.size))
        return frame, tuple(truth)


def _place(
    face: Face, index: int, time_s: float, progress: float, size: tuple[int, int]
) -> NDArray[np.float64]:
    """Affine map (2, 3) from photograph pixels to frame pixels."""
    stretch = portrait.LOOKS[face.identity].stretch
    scale = face.width_px / (portrait.FACE_WIDTH * abs(stretch)) * face.zoom**progress
    still = face.framed
    phase = 2 * np.pi * time_s + 2.1 * index
    angle = np.deg2rad(0 if still else face.tilt_deg) * np.sin(0.23 * phase)
    sway = 0 if still else face.sway_px
    x = (face.x + face.drift_x * progress) * size[0] + sway * np.sin(0.31 * phase)
    y = face.y * size[1] + 0.4 * sway * np.sin(0.47 * phase + 1)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag([scale * stretch, scale])
    return np.column_stack([linear, np.array([x, y]) - linear @ portrait.CENTRE])


def _tell(
    face: Face, index: int, matrix: NDArray[np.float64], lip_shift: float, size: tuple[int, int]
) -> FaceTruth:
    points = _map(matrix, portrait.POINTS)
    if points[0, 0] > points[1, 0]:
        points = points[[1, 0, 2, 4, 3]]
    outline = portrait.OUTLINE.astype(float)
    outline[portrait.CHIN, 1] += 0.8 * lip_shift
    outline = _map(matrix, outline)
    (x1, y1), (x2, y2) = _point(outline.min(0)), _point(outline.max(0))
    seen_x = max(0.0, min(x2, size[0]) - max(x1, 0))
    seen_y = max(0.0, min(y2, size[1]) - max(y1, 0))
    left_eye, right_eye, nose, left_corner, right_corner = (_point(row) for row in points)
    return FaceTruth(
        index=index,
        identity=face.identity,
        box=(x1, y1, x2, y2),
        points=(left_eye, right_eye, nose, left_corner, right_corner),
        lip_opening_px=round(float(np.hypot(*matrix[:, 1]) * (portrait.LIP_GAP + lip_shift)), 2),
        visible=round(seen_x * seen_y / ((x2 - x1) * (y2 - y1)), 3),
    )


def _draw_person(frame: Pixels, head: Portrait, matrix: NDArray[np.float64], framed: bool) -> None:
    """Lay the portrait over the frame, in place."""
    left, top, right, bottom = (0, 0, 512, 512) if not framed else PICTURE
    corners = _map(matrix, np.array([[left, top], [right, top], [left, bottom], [right, bottom]]))
    x1, y1 = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    x2, y2 = np.minimum(np.ceil(corners.max(0)).astype(int), frame.shape[1::-1])
    if x2 <= x1 or y2 <= y1:
        return
    if framed:
        frame[max(y1 - 4, 0) : y2 + 4, max(x1 - 4, 0) : x2 + 4] = (235, 240, 240)
        frame[y1:y2, x1:x2] = (150, 120, 90)
    shifted = matrix - np.array([[0, 0, x1], [0, 0, y1]])
    from_texture = np.array([[1, 0, 0.5], [0, 1, 0.5]]) / head.scale - [[0, 0, 0.5], [0, 0, 0.5]]
    both = shifted @ np.vstack([from_texture, [0, 0, 1]])
    person = cv2.warpAffine(head.texture, both, (int(x2 - x1), int(y2 - y1)))
    area = frame[y1:y2, x1:x2]
    clear = cv2.cvtColor(cv2.bitwise_not(person[..., 3]), cv2.COLOR_GRAY2BGR)
    colours = cv2.cvtColor(person, cv2.COLOR_BGRA2BGR)
    area[:] = cv2.add(cv2.multiply(area, clear, scale=1 / 255), colours)


def _texture_scale(face: Face) -> int:
    largest = face.width_px * max(1, face.zoom) / portrait.FACE_WIDTH
    return int(np.clip(np.ceil(largest - 0.3), 1, 4))


def _blink(time_s: float) -> float:
    """How closed the eyes are, 0 open .. 1."""
    into = (time_s + 1.2) % BLINK_EVERY_S
    return float(np.sin(np.pi * into / BLINK_S)) if into < BLINK_S else 0.0


@cache
def _backdrop(name: Background, width: int, height: int) -> Pixels:
    if name in ("studio", "black"):
        return _gradient(width, height) * (name == "studio")
    picture = {"office": "coffee", "wall": "brick"}.get(name, name)
    image = getattr(data, f"{picture}_deep_field" if picture == "hubble" else picture)()
    image = np.dstack([image] * 3) if image.ndim == 2 else image[..., 2::-1]
    scale = max(width / image.shape[1], height / image.shape[0])
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    image = np.ascontiguousarray(image[-height:, :width])
    if name == picture:
        return image
    tint = np.array([1.05, 1.0, 0.9]) if name == "wall" else np.array([0.75, 0.8, 0.85])
    return np.clip(cv2.GaussianBlur(image, (0, 0), height / 60) * tint, 0, 255).astype(np.uint8)


def _gradient(width: int, height: int) -> Pixels:
    """A painted studio wall, lighter behind the head."""
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-0.9, 1.1, height))
    light = np.exp(-(x**2 + y**2) / 1.4)[..., None]
    edge, middle = np.array([96, 78, 62]), np.array([206, 196, 182])
    return (edge + (middle - edge) * light).astype(np.uint8)


def _map(matrix: NDArray[np.float64], points: NDArray[np.floating]) -> NDArray[np.float64]:
    return points @ matrix[:, :2].T + matrix[:, 2]


def _point(row: NDArray[np.float64]) -> Point:
    return round(float(row[0]), 2), round(float(row[1]), 2)
