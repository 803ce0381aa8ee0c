"""The shape of the lips in a picture: 68 landmarks by dlib, six distances from them.

Landmarks are iBUG 300-W's: eyes 36–41 and 42–47, nose 27–35, outer lips 48–59, inner 60–67.
The predictor is given the box that dlib's own detector would give, placed by the five points
that every detector here knows. On 155 frames of 25 real clips that box's centre lay midway
between eyes and mouth (7 % of its side off) and its side was 2.38 times the mean used below.
"""

from pathlib import Path

import cv2
import numpy as np

from vexpress.faces.points import DlibDetector, dlib_model

BOX_SIDE = 2.38
"""Side of dlib's box over the geometric mean of eye distance and eye-to-mouth distance."""
LEAST_BOX_PX = 160
"""A smaller face is enlarged first: the predictor answers in whole pixels."""
SHAPE = ("inner_opening", "outer_opening", "width", "chin", "lower_lip", "upper_lip")
"""Names of the six distances, each over the clip's median distance between the eyes."""


def lip_reader_files() -> tuple[Path, ...]:
    """Return the files of dlib's landmark model."""
    return (dlib_model(DlibDetector.file),)


class LipReader:
    """Finds 68 landmarks where five points are known; 1 ms a frame."""

    def __init__(self) -> None:
        import dlib

        self.weights = lip_reader_files()
        self._predictor = dlib.shape_predictor(str(self.weights[0]))

    def landmarks(self, image_bgr: np.ndarray, five_points: np.ndarray) -> np.ndarray:
        """Return float32 (68, 2), pixels, of the face at `five_points` (5, 2) of a uint8 picture.

        Points: left eye, right eye, nose tip, left and right mouth corner.
        """
        import dlib

        centre, side = face_box(five_points)
        scale = max(1.0, LEAST_BOX_PX / max(side, 1.0))
        gray = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
        if scale > 1:
            gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        corners = np.concatenate([centre - side / 2, centre + side / 2]) * scale
        shape = self._predictor(gray, dlib.rectangle(*(round(float(v)) for v in corners)))
        return np.array([(p.x, p.y) for p in shape.parts()], dtype=np.float32) / np.float32(scale)


def face_box(five_points: np.ndarray) -> tuple[np.ndarray, float]:
    """Return centre (2,) and side, pixels, of dlib's box around a face at (5, 2)."""
    eyes, mouth = five_points[:2].mean(axis=0), five_points[3:].mean(axis=0)
    apart = float(np.hypot(*(five_points[1] - five_points[0])))
    below = float(np.hypot(*(mouth - eyes)))
    return (eyes + mouth) / 2, BOX_SIDE * (apart * below) ** 0.5


def lip_shape(landmarks: np.ndarray) -> np.ndarray:
    """Return float32 (F, 6), the distances named in `SHAPE`, of landmarks (F, 68, 2)."""
    eyes = _distance(landmarks[:, 36:42].mean(axis=1), landmarks[:, 42:48].mean(axis=1))
    bridge = landmarks[:, 27:31].mean(axis=1)
    distances = [
        _between(landmarks, (61, 62, 63), (67, 66, 65)),
        _between(landmarks, (50, 51, 52), (58, 57, 56)),
        _between(landmarks, (48,), (54,)),
        _distance(landmarks[:, 8], bridge),
        _between(landmarks, (57,), (33,)),
        _between(landmarks, (51,), (33,)),
    ]
    return (np.stack(distances, axis=1) / max(float(np.median(eyes)), 1e-6)).astype(np.float32)


def _between(landmarks: np.ndarray, some: tuple[int, ...], others: tuple[int, ...]) -> np.ndarray:
    return _distance(landmarks[:, some], landmarks[:, others]).mean(axis=1)


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(np.hypot(*np.moveaxis(a - b, -1, 0)))
