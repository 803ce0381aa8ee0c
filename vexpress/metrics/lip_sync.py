"""How the lips go with the sound: without a network (`vexpress/sync/lip_sound.py`), and by SyncNet.

Both give a confidence and an offset, positive where the sound is late. A generated video that
follows its sound has a high confidence at offset 0. The scales have nothing in common: the
first counts standard deviations above chance, SyncNet's is median less least distance.
"""

from pathlib import Path

import numpy as np

from vexpress.errors import SoundError
from vexpress.faces.points import Face
from vexpress.faces.retarget import fill_gaps
from vexpress.media.sound import read_sound
from vexpress.metrics.table import Measured, measured, unmeasured
from vexpress.sync.estimate import FPS, SyncEstimate, estimate_from
from vexpress.sync.lip_sound import PAD_S, RATE, estimate_offset
from vexpress.sync.lips import LipReader, lip_shape
from vexpress.sync.syncnet import FrameTower, SyncNet, distances, face_crop

MOST_MISSING = 0.2
"""Share of frames without a face above which the lips are not known well enough."""


class LipSyncScorer:
    """Follows the lips; hears the video's own sound at the end."""

    NAMES = ("lip_sound_confidence", "lip_sound_offset")

    def __init__(self, reader: LipReader, video: Path, fps: float) -> None:
        self._reader, self._video, self._fps = reader, video, fps
        self._landmarks: list[np.ndarray] = []

    def see(self, frame: int, image_bgr: np.ndarray, face: Face | None) -> None:
        """Look at frame `frame`."""
        if face is None:
            self._landmarks.append(np.full((68, 2), np.nan, np.float32))
        else:
            self._landmarks.append(self._reader.landmarks(image_bgr, face.points))

    def results(self) -> list[Measured]:
        """Return `lip_sound_confidence` and `lip_sound_offset`."""
        known = np.array([np.isfinite(marks).all() for marks in self._landmarks], dtype=bool)
        problem = too_few_faces(known)
        if problem:
            return unmeasured(self.NAMES, "no_face", problem)
        try:
            sound = read_sound(self._video).waveform
        except SoundError as error:
            return unmeasured(self.NAMES, "no_sound", str(error))
        lips = lip_shape(fill_gaps(np.stack(self._landmarks)).astype(np.float32))
        around = _around(sound, len(lips) / self._fps)
        found = estimate_offset(lips, around, fps=self._fps)
        return as_numbers(self.NAMES, found, "lip_sound", len(lips))


class SyncNetScorer:
    """Shows each face to SyncNet, which wants 25 frames a second."""

    NAMES = ("syncnet_confidence", "syncnet_offset")

    def __init__(self, network: SyncNet, video: Path, fps: float) -> None:
        self._network, self._video, self._fps = network, video, fps
        self._tower = FrameTower(network)
        self._points: np.ndarray | None = None
        self._known: list[bool] = []

    def see(self, frame: int, image_bgr: np.ndarray, face: Face | None) -> None:
        """Look at frame `frame`; a face that is lost is looked for where it was."""
        self._known.append(face is not None)
        self._points = self._points if face is None else face.points
        if self._points is not None and self._at_25_fps:
            self._tower.see(face_crop(image_bgr, self._points))

    def results(self) -> list[Measured]:
        """Return `syncnet_confidence` and `syncnet_offset`."""
        if not self._at_25_fps:
            text = f"expected 25 frames a second, found {self._fps:g}"
            return unmeasured(self.NAMES, "not_25_fps", text)
        problem = too_few_faces(np.array(self._known, dtype=bool))
        if problem or not self._known[0]:
            text = problem or "expected a face in the first frame, found none"
            return unmeasured(self.NAMES, "no_face", text)
        try:
            sound = read_sound(self._video).waveform
        except SoundError as error:
            return unmeasured(self.NAMES, "no_sound", str(error))
        found = estimate_from(distances(self._network, self._tower.features(), sound))
        return as_numbers(self.NAMES, found, "syncnet_v2", len(self._known))

    @property
    def _at_25_fps(self) -> bool:
        return abs(self._fps - FPS) < 0.01


def as_numbers(names: tuple[str, str], found: SyncEstimate, by: str, frames: int) -> list[Measured]:
    """Return confidence and offset under `names`, or why there are none."""
    if found.offset_frames is None or found.confidence is None:
        return unmeasured(names, "cannot_tell", found.note or "no offset stands out")
    values = found.confidence, found.offset_frames
    return [measured(n, float(v), by, frames) for n, v in zip(names, values, strict=True)]


def too_few_faces(known: np.ndarray) -> str | None:
    """Return what is wrong where too many frames, bool (F,), have no face."""
    if len(known) and known.mean() >= 1 - MOST_MISSING:
        return None
    return f"expected a face in most frames, {int((~known).sum())} of {len(known)} have none"


def _around(sound: np.ndarray, seconds: float) -> np.ndarray:
    """The sound with `PAD_S` of silence on both sides, cut or padded to the video's length."""
    samples, pad = round(seconds * RATE), round(PAD_S * RATE)
    cut = sound[:samples]
    return np.pad(cut, (pad, samples - len(cut) + pad))
