"""Are sound and lips in time? Say how far they are apart, and whether that is repaired.

Takes a `Candidate` with the series `syncnet` or `lips`, gives it with the columns `sync_…`.
The rule is LatentSync's: an offset of up to 6 frames that is sure enough is repaired, a
larger one is a reason to reject; nothing is rejected here. One that is not sure is no offset,
and one that is smaller than the back end's own error counts as in time.

Sign: positive means late sound, heard after the lips moved. Frames are of 1/25 s, whatever
the clip's own rate, as SyncNet's are.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from vexpress.schemas.errors import ConfigError
from vexpress.schemas.row import Model, content_id
from vexpress.sync.estimate import SYNCNET_FILES, SyncEstimate, estimate_from, find_syncnet
from vexpress.sync.lip_sound import PAD_S, RATE, estimate_offset
from vexpress.tasks.curate.scores import lips, syncnet
from vexpress.tasks.engine.step import ClipStep, is_rejected
from vexpress.tasks.engine.units import Candidate
from vexpress.tasks.engine.weights import Need
from vexpress.tasks.media.resample import read_sound
from vexpress.weights.sources import get

LEAST_REPAIRED = {"syncnet": 1.0, "lips": 3.5}
"""Offset from which sound counts as out of time, frames. SyncNet: its grid; LatentSync repairs
whatever is not 0. Lips: ours; sure clips of real videos say up to 3 as they are, and nobody can
tell whether that is the video's error or the estimate's (`benchmarks/README.md`)."""
SURE = {"syncnet": 3.0, "lips": 4.5}
"""Confidence from which an offset is believed. SyncNet: LatentSync's filter. Lips: ours, see
`benchmarks/README.md`; the scales have nothing to do with each other."""


class SyncConfig(Model):
    """What tells whether sound is in time, and what is done about sound that is not."""

    backend: Literal["auto", "syncnet", "lips"] = "auto"
    """`syncnet`; `lips`: lip shape and sound, without weights; `auto`: SyncNet where its
    weights are."""
    model: str | None = None
    """File with SyncNet's weights; null: `syncnet/syncnet_v2.model` under the weights."""
    repair: bool = True
    """Cut the sound of the clip where it belongs."""
    max_repair_frames: float = Field(6, ge=0, le=15)
    """Largest offset that is repaired, frames of 1/25 s (LatentSync: 6)."""
    min_repair_frames: float | None = Field(None, ge=0, le=15)
    """Least offset that is believed to be one, frames of 1/25 s: what is smaller counts as in
    time; null: 1 with SyncNet, 3.5 by lip shape."""
    min_confidence: float | None = Field(None, ge=0)
    """Least confidence of an offset that is believed; null: 3 with SyncNet (LatentSync),
    4.5 by lip shape."""


class SyncClip(ClipStep):
    """Compare sound and lips."""

    NAME: ClassVar[str] = "sync"
    GROUP: ClassVar[str] = "sync"
    PLACES: ClassVar[frozenset[str]] = frozenset({"model"})

    @classmethod
    def resolve(cls, config: SyncConfig, weights: Path | None) -> tuple[SyncConfig, str | None]:
        """Choose the back end, and say which.

        Raises ConfigError when SyncNet is asked for and its weights are not there.
        """
        asked = config.backend == "syncnet" or config.model is not None
        path = Path(config.model).expanduser() if config.model else find_syncnet(weights)
        if config.backend != "lips" and path and path.is_file():
            definite = config.model_copy(
                update={"backend": "syncnet", "model": str(path.resolve())}
            )
            return definite, f"sync: SyncNet, {path}"
        if config.backend != "lips" and asked:
            place = path or f"{weights or '(no folder of weights given)'}/{SYNCNET_FILES[0]}"
            raise ConfigError(
                f"sync: expected SyncNet's weights at {place}, found none. Fetch them "
                f"({get('syncnet')}), give their path as sync.model, or choose sync.backend=lips."
            )
        note = "sync: by lip shape and sound"
        note += "" if config.backend == "lips" else f", no {SYNCNET_FILES[0]} under the weights"
        return config.model_copy(update={"backend": "lips", "model": None}), note

    @classmethod
    def needs(cls, weights: Path | None) -> list[Need]:
        """SyncNet is surer; lip shape and sound need no weights."""
        file = find_syncnet(weights)
        return [
            Need(
                "sync (SyncNet)",
                str(file) if file else f"no {(weights or Path('WEIGHTS')) / SYNCNET_FILES[0]}",
                file is not None,
                f"{get('syncnet')}; without it lip shape and sound are compared",
            )
        ]

    def skip(self, row: Candidate) -> list[Model] | None:
        """Without sound there is nothing to compare."""
        return None if row.video.audio_streams else [row]

    def conclude(self, answer: Model) -> Model:
        """Decide what is done about an offset: it does not change the offset."""
        if isinstance(answer, Candidate) and not is_rejected(answer):
            return decide(answer, self.config)
        return answer

    def settings(self) -> str:
        """Return what the ledger's keys hold: none of the settings changes what is measured."""
        return SyncConfig().model_dump_json()

    def identity(self, row: Candidate) -> str:
        """The clip, and what was seen of its lips."""
        series = [row.series[name].tobytes().hex() for name in _seen(row)]
        return content_id(row.clip.clip_id, *_seen(row), *series)

    def __call__(self, row: Candidate) -> Iterator[Candidate]:
        """Yield the candidate with the offset as measured, sure or not."""
        backend, found = measure(row)
        yield row.update(
            sync_backend=backend,
            sync_offset_frames=found.offset_frames,
            sync_confidence=found.confidence,
            sync_note=found.note,
        )


def _seen(row: Candidate) -> list[str]:
    return [name for name in (syncnet.SERIES, lips.SERIES) if name in row.series]


def measure(row: Candidate) -> tuple[str, SyncEstimate]:
    """Return the back end, and the offset between a candidate's lips and its source's sound."""
    if syncnet.SERIES in row.series:
        return "syncnet", estimate_from(row.series[syncnet.SERIES])
    if lips.SERIES not in row.series:
        return "none", SyncEstimate(None, None, "the lips were not read")
    clip = row.clip
    start = (row.video.start_s or 0.0) + clip.start_s - PAD_S
    samples = round((clip.frames / clip.fps + 2 * PAD_S) * RATE)
    sound = read_sound(row.video, start, samples, RATE)[:, 0]
    shape = np.asarray(row.series[lips.SERIES]).reshape(clip.frames, -1)
    return "lips", estimate_offset(shape, sound, fps=clip.fps)


def decide(row: Candidate, config: SyncConfig) -> Candidate:
    """Return the candidate with its offset believed or not, and repaired or not."""
    offset, confidence = row.clip.sync_offset_frames, row.clip.sync_confidence
    if offset is None or confidence is None:
        return row.update(sync_known=False)
    backend = str(row.clip.sync_backend)
    sure = SURE[backend] if config.min_confidence is None else config.min_confidence
    if confidence < sure:
        note = f"not sure: confidence {confidence:.1f}, expected ≥ {sure:g}"
        return row.update(sync_known=False, sync_offset_frames=None, sync_note=note)
    least = config.min_repair_frames
    apart = abs(offset) >= (LEAST_REPAIRED[backend] if least is None else least)
    mend = config.repair and apart and abs(offset) <= config.max_repair_frames
    return row.update(
        sync_known=True,
        sync_repaired_frames=offset if mend else 0.0,
        sync_off_by_frames=abs(offset) if apart and not mend else 0.0,
    )
