"""Watch a video once: its cuts and its faces from one decode.

Takes a `Video`, gives a `DetectedVideo`, or rejects the video: `damaged` or `no_frames`. Cuts and
faces are kept apart in the ledger: with another scene detector no face is detected again,
and the other way round.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, ClassVar

import cv2
import numpy as np

from vexpress.schemas.row import Model
from vexpress.schemas.video import Video
from vexpress.tasks.curate import faces, scenes
from vexpress.tasks.curate.faces import FaceCollector, FaceConfig
from vexpress.tasks.curate.scenes import CutDetector, SceneConfig
from vexpress.tasks.engine.ledger import LedgerLike
from vexpress.tasks.engine.step import (
    Rejection,
    Resources,
    Step,
    file_digest,
    is_error,
    is_rejected,
    make_key,
)
from vexpress.tasks.engine.units import Cuts, DetectedVideo, decode, encode
from vexpress.tasks.media.frames import (
    Frames,
    fit_within,
    open_video,
    picture_identity,
    prefetch,
    to_upright_bgr,
)

MAX_DAMAGED_SHARE = 0.05
"""Share of frames that may be damaged, those that are cut off at the end not counted; a scene
ends where one is, and the next begins with the next key frame."""
DECODED = 3
"""Whole pictures that wait while those before are made small."""


class DetectConfig(Model):
    """What the two scorers are told."""

    scenes: SceneConfig
    faces: FaceConfig


class DetectVideo(Step[Video]):
    """Decode a video once, small, and show every frame to the scorers that need it."""

    NAME: ClassVar[str] = "detect"
    TAKES: ClassVar[type] = Video
    RESOURCES: ClassVar[Resources] = Resources(cpus=2, gpus=0.25)

    @classmethod
    def versions(cls) -> list[tuple[str, int]]:
        """Those of both scorers."""
        return [("scenes", scenes.VERSION), ("faces", faces.VERSION)]

    def run(self, row: Video, ledger: LedgerLike) -> list[Model]:
        """Answer from the ledger what it knows, and watch for the rest."""
        keys = self._keys(row)
        known = {name: ledger.get(key, name) for name, key in keys.items()}
        answers = {name: decode(data[0]) for name, data in known.items() if data}
        missing = [name for name in keys if name not in answers]
        if missing:
            attempt = max(ledger.begin(keys[name]) for name in missing)
            answers |= self._decode(row, missing, ledger, attempt)
            for name in missing:
                kept = encode(answers[name])
                seconds = self._seconds.get(name, 0.0)
                ledger.put(keys[name], name, [kept], is_error(answers[name]), seconds)
        for answer in answers.values():
            if is_rejected(answer):
                return [answer.model_copy(update={"source": row.source, "licence": row.licence})]
        return [row, DetectedVideo(video=row, cuts=answers["scenes"], detections=answers["faces"])]

    def _keys(self, row: Video) -> dict[str, str]:
        # Where the model lies is no setting: the digest of its files stands for it.
        looks = self.config.faces.model_copy(update={"model": ""}).model_dump_json()
        cuts = self.config.scenes.model_dump_json()
        content = picture_identity(row)
        return {
            "scenes": make_key("scenes", scenes.VERSION, cuts, content),
            "faces": make_key("faces", faces.VERSION, looks, self._face_digest, content),
        }

    @cached_property
    def _face_digest(self) -> str:
        return file_digest(faces.weight_files(self.config.faces))

    @cached_property
    def _detector(self) -> Any:
        return faces.open_detector(self.config.faces, gpu=self.context.gpu)

    def _decode(
        self, row: Video, names: list[str], ledger: LedgerLike, attempt: int
    ) -> dict[str, Any]:
        self._seconds = dict.fromkeys(names, 0.0)
        start = time.perf_counter()
        answers = self.guarded(row, lambda video: self._see(video, names), attempt)
        ledger.spend("decode", time.perf_counter() - start - sum(self._seconds.values()))
        if is_rejected(answers[0]):
            return dict.fromkeys(names, answers[0])
        return dict(zip(names, answers, strict=True))

    def _see(self, video: Video, names: list[str]) -> Iterable[Model]:
        """Yield `Cuts` and `Detections`, those asked for by `names`, in that order."""
        size = fit_within(video.width or 1, video.height or 1, self.config.faces.detect_px)
        scene_size = fit_within(*size, scenes.LONGEST_SIDE)
        cut_detector = CutDetector(self.config.scenes, self.context.weights)
        face_detections = None
        if "faces" in names:
            scale = (video.width or 1) / size[0]
            face_detections = FaceCollector(self.config.faces, self._detector, scale)
        with open_video(video) as container:
            frames = Frames(container, video)
            for number, image in prefetch(_images(frames, size, video)):
                if "scenes" in names:
                    small = cv2.resize(image, scene_size, interpolation=cv2.INTER_AREA)
                    self._timed("scenes", cut_detector.see, small)
                if face_detections:
                    self._timed("faces", face_detections.see, number, image)
                self.context.progress(1 / (video.fps or 25))
        require_whole(frames)
        if "scenes" in names:
            cuts = sorted({*cut_detector.cuts(), *frames.breaks})
            end = frames.times[-1] + 1 / (video.fps or 25)
            yield Cuts(times=np.array([*frames.times, end]), cuts=cuts)
        if face_detections:
            yield face_detections.detections()

    def _timed(self, name: str, work: Callable[..., None], *arguments: Any) -> None:
        start = time.perf_counter()
        work(*arguments)
        self._seconds[name] += time.perf_counter() - start


def _images(
    frames: Frames, size: tuple[int, int], video: Video
) -> Iterator[tuple[int, np.ndarray]]:
    for number, frame in prefetch(iter(frames), DECODED):
        yield number, to_upright_bgr(frame, size, video.rotation or 0, bool(video.mirrored))


def require_whole(frames: Frames) -> None:
    """Raise Rejection when nothing, or too little, could be decoded."""
    whole = len(frames.times)
    if not whole:
        raise Rejection("no_frames", "expected pictures, none could be decoded", is_error=True)
    if frames.damaged > MAX_DAMAGED_SHARE * (whole + frames.damaged):
        where = frames.times[frames.breaks[0]]
        detail = (
            f"{frames.damaged} of {whole + frames.damaged} frames are damaged, from {where:.1f} s"
        )
        raise Rejection("damaged", detail, is_error=True)
