"""The clips of a run: where their files are, and every point of theirs, in one file.

The file is written once, when a run starts, and read piece by piece from then on: a worker
holds none of it in memory, and a data set that grows meanwhile does not change the run.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from vexpress.errors import InputError, VExpressError
from vexpress.files import READABLE, whole_file
from vexpress.hashes import blake2b


class ClipError(InputError):
    """A clip cannot be trained on."""


@dataclass(frozen=True)
class ClipFiles:
    """One clip without its points."""

    clip_id: str
    video: str
    """Path of the picture."""
    sound: str
    """Path of the audio vectors: `global_embeds` (N, 1, E), .safetensors or .pt."""
    group: str
    """Who is seen, or else the source: no group is on both sides of the split."""
    frames: int
    width: int
    height: int
    lips: str
    """What the lip boxes were made from."""


@dataclass(frozen=True)
class TrainingClip:
    """One clip with its points, in pixels of its picture."""

    files: ClipFiles
    kps: np.ndarray
    """float32 (F, 3, 2): left eye, right eye, nose."""
    lip_boxes: np.ndarray
    """float32 (F, 4): x1 y1 x2 y2."""


class ClipIndex:
    """The clips of a run, opened from the file that `write_index` wrote."""

    def __init__(self, path: Path) -> None:
        """Raises VExpressError when the file is damaged or another kind."""
        self.path = path
        try:
            self._file = safe_open(path, "numpy")
            self.clips = [ClipFiles(**c) for c in json.loads(self._file.metadata()["clips"])]
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise VExpressError(
                f"{path} cannot be read as the clips of a run: {error}. Start a new run."
            ) from error
        frames = [clip.frames for clip in self.clips]
        self._starts = np.concatenate([[0], np.cumsum(frames)]).tolist()

    def __len__(self) -> int:
        return len(self.clips)

    def kps(self, clip: int, frames: range) -> np.ndarray:
        """V-Kps of consecutive frames, float32 (F, 3, 2)."""
        return self._slice("kps", clip, frames)

    def lip_boxes(self, clip: int, frames: range) -> np.ndarray:
        """Lip boxes of consecutive frames, float32 (F, 4)."""
        return self._slice("lip_boxes", clip, frames)

    def _slice(self, name: str, clip: int, frames: range) -> np.ndarray:
        start = self._starts[clip]
        return self._file.get_slice(name)[start + frames.start : start + frames.stop]

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        return ClipIndex, (self.path,)


def write_index(path: Path, clips: Sequence[TrainingClip]) -> None:
    """Write the clips of a run as one file. Raises ClipError when there are none."""
    if not clips:
        raise ClipError("training: expected at least one clip, found none. Loosen `where`.")
    arrays = {
        "kps": np.concatenate([clip.kps for clip in clips]).astype(np.float32),
        "lip_boxes": np.concatenate([clip.lip_boxes for clip in clips]).astype(np.float32),
    }
    listing = json.dumps([asdict(clip.files) for clip in clips])
    with whole_file(path) as partial:
        save_file(arrays, partial, metadata={"clips": listing})
        partial.chmod(READABLE)


def split_clips(clips: Sequence[ClipFiles], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Numbers of the training and of the validation clips; no group is in both.

    Share 0: validation runs on the training clips. Raises ClipError when there is one
    group only, which cannot be split.
    """
    everything = list(range(len(clips)))
    if share == 0:
        return everything, everything
    groups = [clip.group for clip in clips]
    if len(set(groups)) < 2:
        raise ClipError(
            f"data.validation_share={share:g}: expected clips of at least two sources to hold "
            f"one out, found {len(set(groups))}. Set it to 0 to validate on the training clips."
        )
    held = held_out(groups, share, seed)
    return (
        [i for i in everything if clips[i].group not in held],
        [i for i in everything if clips[i].group in held],
    )


def held_out(groups: Sequence[str], share: float, seed: int) -> set[str]:
    """Groups that together hold at least `share` of the clips, one group a clip; never all.

    Which ones depends on their names and `seed` alone.
    """
    if share == 0:
        return set()
    sizes = Counter(groups)
    wanted, held, count = share * len(groups), set(), 0
    for group in sorted(sizes, key=lambda group: _rank(seed, group))[:-1]:
        if count >= max(1, wanted):
            break
        held.add(group)
        count += sizes[group]
    return held


def check_lengths(clips: Sequence[ClipFiles], needed: int, stage: int) -> None:
    """Raise ClipError for clips that are shorter than a sample of the stage."""
    short = [clip for clip in clips if clip.frames < needed]
    if short:
        names = ", ".join(f"{clip.clip_id} ({clip.frames})" for clip in short[:5])
        raise ClipError(
            f"stage {stage}: expected clips of at least {needed} frames (frames + "
            f"reference_margin), found {len(short)} of {len(clips)} shorter: {names}. "
            f'Start a run without them: with where "frames >= {needed}", or a list without them.'
        )


def _rank(seed: int, group: str) -> str:
    return blake2b(f"{seed}\x1f{group}".encode(), 8)
