"""Fit the filters of `vexpress/sync/lip_sound.py`: canonical correlation over talking clips.

The clips of real videos are not all in time themselves. So the fit goes round a few times:
fit, ask where each clip's peak lies, move its sound there, fit again; their median stays zero.
"""

from pathlib import Path

import numpy as np

from benchmarks.talking_clips import AROUND_S, TalkingClip
from vexpress.sync.lip_sound import (
    LEAST_FRAMES,
    PAD_S,
    RATE,
    Filters,
    agreement,
    lip_features,
    sound_features,
    windows,
)

PAIRS = 3
RIDGE = 0.1
"""Added to each covariance, as a share of its mean variance."""
ROUNDS = 5
NEAR = np.arange(-8, 9) / 2
"""Offsets within which a clip's own is looked for while fitting, frames."""
HEADER = '''"""The filters of `lip_sound.py`, as `benchmarks/sync.py --fit` printed them.

Fitted on {clips} clips ({seconds:.0f} s) of {persons} persons; how well they do on persons that
they were not fitted on is in `benchmarks/README.md`.
"""

import numpy as np

# fmt: off
'''


def fit(clips: list[TalkingClip]) -> Filters:
    """Return filters fitted on `clips`; those too short to judge are left out."""
    clips = [clip for clip in clips if len(clip.lips) >= LEAST_FRAMES]
    heard = [sound_features(cut(clip)) for clip in clips]
    seen = [lip_features(clip.lips) for clip in clips]
    offsets = np.zeros(len(clips))
    for _ in range(ROUNDS):
        at = [windows(h, len(s), o) for h, s, o in zip(heard, seen, offsets, strict=True)]
        filters = canonical(np.vstack(at), np.vstack(seen))
        offsets = np.array([_own(h, s, filters) for h, s in zip(heard, seen, strict=True)])
        offsets -= np.median(offsets)
    return filters


def cut(clip: TalkingClip, late_frames: float = 0, trim: int = 0) -> np.ndarray:
    """Return the clip's sound as `estimate_offset` wants it, made late, without `trim` frames."""
    first = AROUND_S - PAD_S + (trim - late_frames) / 25
    samples = round(((len(clip.lips) - 2 * trim) / 25 + 2 * PAD_S) * RATE)
    return clip.sound[round(first * RATE) :][:samples]


def canonical(sound: np.ndarray, lips: np.ndarray) -> Filters:
    """Return the first `PAIRS` canonical pairs of (N, A) and (N, B)."""
    sound, lips = sound - sound.mean(axis=0), lips - lips.mean(axis=0)
    white_sound, white_lips = _whitener(sound), _whitener(lips)
    left, strengths, right = np.linalg.svd(
        white_sound @ (sound.T @ lips) @ white_lips.T / len(lips)
    )
    return Filters(
        sound=white_sound.T @ left[:, :PAIRS],
        lips=white_lips.T @ right[:PAIRS].T,
        weights=strengths[:PAIRS] ** 2,
    )


def _whitener(values: np.ndarray) -> np.ndarray:
    covariance = values.T @ values / len(values)
    size = len(covariance)
    covariance += RIDGE * np.trace(covariance) / size * np.eye(size)
    return np.asarray(np.linalg.inv(np.linalg.cholesky(covariance)))


def _own(heard: np.ndarray, seen: np.ndarray, filters: Filters) -> float:
    shown = seen @ filters.lips
    signals = [windows(heard, len(seen), lag) @ filters.sound for lag in NEAR]
    return float(NEAR[np.argmax([agreement(s, shown, filters.weights) for s in signals])])


def write_filters(filters: Filters, clips: list[TalkingClip], path: Path) -> None:
    """Write the filters as a Python module."""
    persons = {clip.person for clip in clips}
    seconds = sum(len(clip.lips) for clip in clips) / 25
    text = HEADER.format(clips=len(clips), seconds=seconds, persons=len(persons))
    text += "FILTERS = {\n"
    for name in ("sound", "lips", "weights"):
        text += f'    "{name}": np.array([\n{_rows(getattr(filters, name))}    ]),\n'
    path.write_text(text + "}\n")


def _rows(values: np.ndarray) -> str:
    if values.ndim == 1:
        return "        " + " ".join(f"{value:.4f}," for value in values) + "\n"
    rows = ["[" + ", ".join(f"{value:.4f}" for value in row) + "]," for row in values]
    lines = [" ".join(rows[i : i + 3]) for i in range(0, len(rows), 3)]
    return "".join(f"        {line}\n" for line in lines)
