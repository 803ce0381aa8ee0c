"""KpsDis: how far the face's V-Kps are from where they were asked to be.

Named by the V-Express paper (arXiv:2406.02511). Here it is the mean Euclidean distance over
left eye, right eye and nose and over the frames with a face, in pixels, and once more in
distances between the asked eyes, which does not depend on the size of the video.
"""

import numpy as np

from vexpress.faces.points import Face
from vexpress.metrics.table import Measured, measured, unmeasured

MIN_EYES_PX = 1.0
"""Asked eyes closer than this have no distance to measure by."""


class KpsScorer:
    """Compares each frame's face with the asked points, float (frames, 3, 2), px of the video."""

    NAMES = ("kps_px", "kps_share", "face_found")

    def __init__(self, asked: np.ndarray, detector: str) -> None:
        self._asked, self._detector = asked, detector
        self._found: list[np.ndarray] = []

    def see(self, frame: int, image_bgr: np.ndarray, face: Face | None) -> None:
        """Look at frame `frame`."""
        self._found.append(np.full((3, 2), np.nan) if face is None else face.points[:3])

    def results(self) -> list[Measured]:
        """Return `kps_px`, `kps_share` and `face_found`."""
        if not self._found:
            return unmeasured(self.NAMES, "no_frames", "no picture of the video could be decoded")
        found = np.stack(self._found)
        seen = np.isfinite(found).all(axis=(1, 2))
        share = measured("face_found", float(seen.mean()), self._detector, len(found))
        return [*kps_distance(found, self._asked, self._detector), share]


def kps_distance(found: np.ndarray, asked: np.ndarray, by: str = "") -> list[Measured]:
    """Return `kps_px` and `kps_share` of points (F, 3, 2), NaN where no face was found.

    A video a frame longer or shorter than what was asked is compared as far as both go.
    """
    names = ("kps_px", "kps_share")
    frames = min(len(found), len(asked))
    found, asked = found[:frames], asked[:frames]
    seen = np.isfinite(found).all(axis=(1, 2))
    if not seen.any():
        return unmeasured(names, "no_face", f"no face was found in any of {frames} frames")
    distance = np.linalg.norm(found[seen] - asked[seen], axis=-1).mean(axis=1)
    eyes = np.linalg.norm(asked[seen, 0] - asked[seen, 1], axis=-1)
    if eyes.min() < MIN_EYES_PX:
        return unmeasured(names, "no_eyes", "the asked eyes fall together in some frame")
    count = int(seen.sum())
    return [
        measured("kps_px", float(distance.mean()), by, count),
        measured("kps_share", float((distance / eyes).mean()), by, count),
    ]


def nearest_face(faces: list[Face], asked: np.ndarray) -> Face | None:
    """Return the face whose eyes and nose lie nearest to the asked points (3, 2)."""
    return min(faces, key=lambda f: float(np.abs(f.points[:3] - asked).sum()), default=None)
