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

LONGEST_SIDE = 256
"""Longer side of the pictures that detectors see, pixels."""
TRANSNET_FILE = "transnetv2/transnetv2.onnx"


class SceneConfig(Model):
    """Where one scene ends and the next begins."""

    detector: Literal["adaptive", "content", "transnet"] = "adaptive"
    """`adaptive`: change against its surroundings; `content`: change alone; `transnet`:
    TransNetV2 (arXiv:2008.04838) from `<weights>/transnetv2/transnetv2.onnx`."""
    threshold: float | None = Field(None, gt=0)
    """Detector's threshold; null: 2 (adaptive), 27 (content) or 0.4 (transnet)."""
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
        file = (weights or Path("WEIGHTS")) / TRANSNET_FILE
        return [
            Need(
                "scenes (TransNetV2)",
                str(file) if file.is_file() else f"no {file}",
                file.is_file(),
                "only for scenes.detector=transnet; the default detector needs no weights",
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
    else:
        main = TransnetV2Detector(
            model_path=transnet_file(weights),
            onnx_providers=["CPUExecutionProvider"],
            threshold=config.threshold or 0.4,
            min_scene_len=shortest,
        )
        offset = 1  # it names the last frame of the old scene
    if not config.fades:
        return [(main, offset)]
    return [(main, offset), (detectors.ThresholdDetector(min_scene_len=shortest), 0)]


def transnet_file(weights: Path | None) -> Path:
    """Return the TransNetV2 file; raise ConfigError where it is missing."""
    path = (weights or Path()) / TRANSNET_FILE
    if weights is None or not path.is_file():
        raise ConfigError(
            f"scenes.detector=transnet: expected {path}, found none. Export TransNetV2 to ONNX "
            "as PySceneDetect's documentation says, or choose scenes.detector=adaptive."
        )
    return path


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
