"""Find the cuts of a video, frame after frame; a scorer of `detect.py`.

Detectors are PySceneDetect's. Frames come small (`LONGEST_SIDE`), as PySceneDetect itself
scales them. Adaptive threshold 2 is LatentSync's (README, bytedance/LatentSync).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
from pydantic import Field

from vexpress.schemas.errors import ConfigError
from vexpress.schemas.row import Model
from vexpress.schemas.video import Video
from vexpress.tasks.engine.component import make_key
from vexpress.tasks.engine.shared_decode import Scorer, Scoring
from vexpress.tasks.engine.units import Cuts
from vexpress.tasks.engine.weights import Need
from vexpress.tasks.media.frames import Frames, fit_within, picture_identity
from vexpress.weights.sources import find_network, get

LONGEST_SIDE = 256
"""Longer side of the pictures that detectors see, pixels."""
TRANSNET_FILE = "transnetv2/transnetv2.onnx"


class SceneConfig(Model):
    """Where one scene ends and the next begins."""

    detector: Literal["adaptive", "content", "transnet"] = "adaptive"
    """`adaptive`: change against its surroundings; `content`: change alone; `transnet`:
    TransNetV2 (arXiv:2008.04838), which finds gradual cuts too, as `vexpress weights` fetched it,
    or exported by hand to `<weights>/transnetv2/transnetv2.onnx`."""
    threshold: float | None = Field(None, gt=0)
    """Detector's threshold; null: 2 (adaptive), 27 (content), 0.5 (transnet; 0.4 from ONNX)."""
    min_scene_frames: int = Field(5, ge=1)
    """Shortest scene, frames."""
    fades: bool = True
    """Cut in the black between a fade-out and a fade-in, too."""


class SceneScorer(Scorer[Video, Frames]):
    """Finds the cuts of a video."""

    NAME: ClassVar[str] = "scenes"
    GROUP: ClassVar[str] = "scenes"

    @classmethod
    def resolve(cls, config: SceneConfig, weights: Path | None) -> tuple[SceneConfig, str | None]:
        """Raise ConfigError where TransNetV2 is asked for and is not here."""
        if config.detector == "transnet":
            transnet_file(weights)
        return config, None

    @classmethod
    def needs(cls, weights: Path | None) -> list[Need]:
        """TransNetV2, only where it is asked for."""
        try:
            found = str(transnet_file(weights))
        except ConfigError:
            found = ""
        return [
            Need(
                "scenes (TransNetV2)",
                found or "not here",
                bool(found),
                f"only for scenes.detector=transnet: {get('transnetv2')}",
            )
        ]

    def key(self, row: Video) -> str:
        """Return the ledger key; no digest goes into it, not even that of TransNetV2's file."""
        return make_key(self.NAME, self.VERSION, self.settings(), picture_identity(row))

    def begin(self, row: Video, shown: Frames) -> Scoring:
        """Begin scoring."""
        return SceneScoring(shown, CutDetector(self.config, self.context.weights))


class SceneScoring:
    """Shows the frames of one video to the detectors, small."""

    def __init__(self, frames: Frames, detector: "CutDetector") -> None:
        self._frames, self._detector = frames, detector

    def see(self, number: int, image_bgr: np.ndarray) -> None:
        """Look at the next frame."""
        height, width = image_bgr.shape[:2]
        size = fit_within(width, height, LONGEST_SIDE)
        self._detector.see(cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA))

    def answer(self) -> Iterable[Model]:
        """Return times and cuts; a scene also ends where a frame is damaged."""
        times, damage = self._frames.times, self._frames.breaks
        cuts = sorted({*self._detector.cuts(), *damage} - {len(times)})
        return [Cuts(times=np.array([*times, self._frames.end_s]), cuts=cuts)]


class CutDetector:
    """Feed it every frame in order; then ask for the cuts."""

    def __init__(self, config: SceneConfig, weights: Path | None) -> None:
        self._config = config
        self._detectors = make_detectors(config, weights)
        self._cuts: set[int] = set()
        self._frames = 0

    def see(self, image_bgr: np.ndarray) -> None:
        """Look at the next frame, uint8 (height, width, 3), longer side `LONGEST_SIDE`."""
        now = _timecode(self._frames)
        for detector, offset in self._detectors:
            self._note(detector.process_frame(now, image_bgr), offset)
        self._frames += 1

    def cuts(self) -> list[int]:
        """Return the first frame of each scene but the first."""
        last = _timecode(max(self._frames - 1, 0))
        for detector, offset in self._detectors:
            self._note(detector.post_process(last), offset)
        return merge_cuts(self._cuts, self._frames, self._config.min_scene_frames)

    def _note(self, cuts: Iterable[Any], offset: int) -> None:
        self._cuts |= {cut.frame_num + offset for cut in cuts}


def make_detectors(config: SceneConfig, weights: Path | None) -> list[tuple[Any, int]]:
    """Return PySceneDetect's detectors, each with what to add to its cuts for the first frame
    of the new scene; raise ConfigError where weights are missing.
    """
    from scenedetect import detectors
    from scenedetect.detectors.transnet_v2 import TransnetV2Detector

    shortest, offset = config.min_scene_frames, 0
    if config.detector == "adaptive":
        main = detectors.AdaptiveDetector(config.threshold or 2.0, min_scene_len=shortest)
    elif config.detector == "content":
        main = detectors.ContentDetector(config.threshold or 27.0, min_scene_len=shortest)
    elif (file := transnet_file(weights)).suffix == ".pth":
        main = ShotCuts(file, config.threshold or 0.5, shortest)
    else:
        main = TransnetV2Detector(
            model_path=file,
            onnx_providers=["CPUExecutionProvider"],
            threshold=config.threshold or 0.4,
            min_scene_len=shortest,
        )
        offset = 1  # it names the last frame of the old scene
    if not config.fades:
        return [(main, offset)]
    return [(main, offset), (detectors.ThresholdDetector(min_scene_len=shortest), 0)]


def transnet_file(weights: Path | None) -> Path:
    """Return the TransNetV2 file, an ONNX one first; raise ConfigError where it is missing."""
    exported = weights / TRANSNET_FILE if weights else None
    if exported and exported.is_file():
        return exported
    found = find_network("transnetv2", weights)
    if found is None:
        raise ConfigError(
            "scenes.detector=transnet: expected TransNetV2's weights, found none. Fetch them "
            f"({get('transnetv2')}), or choose scenes.detector=adaptive."
        )
    return found


class ShotCuts:
    """TransNetV2 in the form of PySceneDetect's detectors; all is told at the end."""

    def __init__(self, file: Path, threshold: float, shortest: int) -> None:
        from vexpress.media import shots

        self._shots = shots
        self._detector = shots.ShotDetector(shots.load_transnet(file))
        self._threshold, self._shortest = threshold, shortest

    def process_frame(self, now: Any, image_bgr: np.ndarray) -> list[Any]:
        """Look at the next frame."""
        size = (self._shots.WIDTH, self._shots.HEIGHT)
        small = cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA)
        self._detector.see(self._shots.as_frame(small))
        return []

    def post_process(self, last: Any) -> list[Any]:
        """Return the cuts."""
        likely = self._detector.probabilities().numpy() > self._threshold
        return [_timecode(cut) for cut in cuts_of(likely, self._shortest)]


def cuts_of(changing: np.ndarray, shortest: int) -> list[int]:
    """Return first frames of scenes, of bool (F,): true in the last frame before a hard cut, and in
    all frames of a gradual one, which becomes a scene of its own unless it is shorter."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], changing, [0]]).astype(np.int8)))
    cuts = []
    for first, end in edges.reshape(-1, 2).tolist():
        cuts += [first, end] if end - first >= shortest else [end]
    return [cut for cut in cuts if 0 < cut < len(changing)]


def merge_cuts(cuts: Iterable[int], frames: int, shortest: int) -> list[int]:
    """Return cuts in order, without those closer than `shortest` to the one before or an end."""
    merged: list[int] = []
    for cut in sorted(cuts):
        if cut - (merged[-1] if merged else 0) >= shortest and frames - cut >= shortest:
            merged.append(cut)
    return merged


def _timecode(frame: int) -> Any:
    """Frame numbers are what we want back; the rate serves PySceneDetect's arithmetic."""
    from scenedetect import FrameTimecode

    return FrameTimecode(frame, fps=25.0)
