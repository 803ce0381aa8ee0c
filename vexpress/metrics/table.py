"""Every number that evaluation knows: unit, direction, version, what it says."""

from dataclasses import dataclass
from typing import Literal

Better = Literal["less", "more", "near 1", "near 0"]


@dataclass(frozen=True)
class Metric:
    """One number."""

    name: str
    version: int
    """Raised when the same video gives another number."""
    unit: str
    better: Better
    says: str


@dataclass(frozen=True)
class Measured:
    """A number, or why there is none."""

    name: str
    value: float | None
    reason: str | None = None
    """One word, where there is no number."""
    detail: str | None = None
    """The same in a sentence."""
    by: str = ""
    """The model that measured it; numbers of different models cannot be compared."""
    count: int = 0
    """Frames (of a set: pictures or videos) that the number stands on."""


VIDEO_METRICS = (
    Metric("kps_px", 1, "px", "less", "Distance of eyes and nose from where they were asked to be"),
    Metric("kps_share", 1, "eye distances", "less", "The same, in distances between the eyes"),
    Metric("face_found", 1, "share of frames", "more", "Frames in which a face is found"),
    Metric("face_similarity", 1, "cosine", "more", "Likeness to the reference, mean over frames"),
    Metric("face_similarity_low", 1, "cosine", "more", "The same, of the least alike tenth"),
    Metric("sharpness", 1, "of the reference", "near 1", "Fine detail, relative to the reference"),
    Metric("flicker", 1, "grey levels", "less", "Change from frame to frame that is no motion"),
    Metric(
        *("lip_sound_confidence", 1, "deviations", "more"),
        "How clearly lips and sound go together, above chance, without a network",
    ),
    Metric("lip_sound_offset", 1, "frames of 1/25 s", "near 0", "How late the sound is, by that"),
    Metric("syncnet_confidence", 1, "", "more", "SyncNet: how clearly lips and sound go together"),
    Metric("syncnet_offset", 1, "frames of 1/25 s", "near 0", "SyncNet: how late the sound is"),
)
"""Measured of each video."""
SET_METRICS = (
    Metric("fid", 1, "", "less", "Fréchet distance of pictures from real ones (Inception)"),
    Metric("fvd", 1, "", "less", "Fréchet distance of videos from real ones (I3D)"),
)
"""Measured of all videos of one set of weights together."""
METRICS = {metric.name: metric for metric in (*VIDEO_METRICS, *SET_METRICS)}


def measured(name: str, value: float, by: str = "", count: int = 0) -> Measured:
    """Return a number. Raises KeyError for a name that the table does not have."""
    return Measured(METRICS[name].name, value, by=by, count=count)


def unmeasured(names: tuple[str, ...], reason: str, detail: str) -> list[Measured]:
    """Return each of `names` without a number, and why."""
    return [Measured(METRICS[name].name, None, reason, detail) for name in names]
