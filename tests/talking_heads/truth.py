"""What a rendered video really holds: the renderer's output, beside the video as JSON."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

Point = tuple[float, float]


class Record(BaseModel):
    """Base of the records. All pixels are of the upright square-pixel frame, x right, y down."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class FaceTruth(Record):
    """One face in one frame."""

    index: int
    """Which of the shot's faces."""
    identity: str
    """Whose head."""
    box: tuple[float, float, float, float]
    """x1, y1, x2, y2 from forehead to chin and from jaw to jaw, pixels; may leave the frame."""
    points: tuple[Point, Point, Point, Point, Point]
    """Left eye, right eye, nose tip, left and right mouth corner (image-left first), pixels."""
    lip_opening_px: float
    """Distance between the inner edges of the lips in the middle of the mouth, pixels."""
    visible: float
    """Share of the box that lies inside the frame, 0..1."""


class FrameTruth(Record):
    """One stored frame."""

    time_s: float
    """When it is shown."""
    segment: int
    """Index of its segment."""
    loudness: float
    """Root mean square of the sound stream while the frame is shown, 0..1."""
    brightness: float
    """Factor of a fade, 0 black .. 1 not faded."""
    faces: tuple[FaceTruth, ...]
    """Every face of the shot, also one that is off the screen (visible 0)."""


class SegmentTruth(Record):
    """One shot, frames start_frame up to but without end_frame."""

    start_frame: int
    end_frame: int
    start_s: float
    end_s: float
    faces: int
    """Largest number of faces seen at once; a face is seen when half its box is."""
    background: str


class WordTruth(Record):
    """One spoken word as heard in the file."""

    word: str
    start_s: float
    end_s: float
    """When it falls silent, or the next begins."""


class SpeechTruth(Record):
    """One spoken sentence as heard in the file."""

    start_s: float
    end_s: float
    text: str
    segment: int
    speaker: int | None
    """Index of the face that speaks; None is a voice off the screen."""
    words: tuple[WordTruth, ...]
    """Its words; those of a recording are not known."""


class CutTruth(Record):
    """One join of two shots."""

    frame: int
    """First frame of the later shot."""
    time_s: float
    kind: str
    """`hard`, or `fade` where either side fades through black."""


class Truth(Record):
    """One rendered video. Frames are numbered from 0 as stored."""

    file: str
    """Name of the video beside this record."""
    fps: float
    """Nominal frames per second."""
    variable_frame_rate: bool
    width: int
    """Upright square-pixel width."""
    height: int
    """Upright square-pixel height."""
    duration_s: float
    """Length of the picture."""
    rotation: int
    """Clockwise turn that a player must apply to the stored picture, degrees."""
    pixel_aspect: float
    """Width of a stored pixel over its height."""
    sound: bool
    sound_late_s: float
    """How much later than the lips the sound is heard."""
    cuts: tuple[CutTruth, ...]
    segments: tuple[SegmentTruth, ...]
    speech: tuple[SpeechTruth, ...]
    frames: tuple[FrameTruth, ...]

    def write(self, path: Path) -> None:
        """Write the record as JSON."""
        path.write_text(self.model_dump_json(), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record that `write` wrote."""
        return cls.model_validate_json(path.read_text(encoding="utf-8"))
