"""FaceSim: how much the face looks like the reference's.

The cosine of the angle between identity vectors (`vexpress/faces/embedding.py`), over frames
spread evenly. ArcFace's cosines of strangers are near 0; dlib's are about 0.85, so that only
numbers of the same model can be compared.
"""

import numpy as np

from vexpress.errors import PointsError
from vexpress.faces.embedding import FaceEmbedder, similarity
from vexpress.faces.points import Face
from vexpress.metrics.table import Measured, measured, unmeasured

LOW_SHARE = 0.1
"""Share of the frames, those least alike, whose mean is `face_similarity_low`."""


class LikenessScorer:
    """Compares every `every`-th frame's face with the reference's vector."""

    NAMES = ("face_similarity", "face_similarity_low")

    def __init__(self, embedder: FaceEmbedder, reference: np.ndarray, every: int) -> None:
        """`reference`: the vector of the portrait's face."""
        self._embedder, self._reference, self._every = embedder, reference, every
        self._found: list[float] = []

    def see(self, frame: int, image_bgr: np.ndarray, face: Face | None) -> None:
        """Look at frame `frame`."""
        if frame % self._every or face is None:
            return
        try:
            vector = self._embedder.embed(image_bgr, face.points)
        except PointsError:
            return
        self._found.append(similarity(vector, self._reference))

    def results(self) -> list[Measured]:
        """Return `face_similarity` and `face_similarity_low`."""
        if not self._found:
            return unmeasured(self.NAMES, "no_face", "no face was found in the frames looked at")
        ordered = np.sort(self._found)
        low = ordered[: max(1, round(LOW_SHARE * len(ordered)))]
        by, count = self._embedder.name, len(ordered)
        return [
            measured("face_similarity", float(ordered.mean()), by, count),
            measured("face_similarity_low", float(low.mean()), by, count),
        ]
