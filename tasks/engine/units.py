"""What travels between steps: rows of manifests, and these that never reach one.

Small values and arrays only; a frame never leaves the step that decoded it.
"""

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from vexpress.schemas.clip import Clip
from vexpress.schemas.errors import DatasetError
from vexpress.schemas.evaluation import Evaluation
from vexpress.schemas.face_embedding import FaceEmbedding
from vexpress.schemas.fingerprint import ClipFingerprint
from vexpress.schemas.generation import Generation
from vexpress.schemas.keypoints import ClipKps
from vexpress.schemas.row import Array, Bools, Boxes, Doubles, FivePoints, Floats, Model
from vexpress.schemas.scene import Scene
from vexpress.schemas.span import Span
from vexpress.schemas.speaking import Speaking
from vexpress.schemas.track import FaceTrack
from vexpress.schemas.video import Video
from vexpress.schemas.word import Word

Spans = Annotated[np.ndarray, Array((2,), "float64")]
FrameNumbers = Annotated[np.ndarray, Array(dtype="int32")]
Levels = Annotated[np.ndarray, Array(dtype="int8")]


class Source(Model):
    """A file or object that may be a video, as the source listed it."""

    uri: str
    """Absolute path or URI."""
    size_bytes: int | None = None
    """Size, bytes; null where it has none."""
    modified: str | None = None
    """Modification time or entity tag: with the size, tells a changed file."""
    licence: str | None = None
    """Licence note given with the source."""
    problem: str | None = None
    """Why it cannot be read at all, where listing found that out."""
    reason: str = Field("not_a_file", exclude_if=lambda reason: reason == "not_a_file")
    """The reason that a problem gives."""
    span: Span | None = Field(None, exclude_if=lambda span: span is None)
    """The part of it that a list names; its `uri` is then the span's own name."""

    @property
    def file(self) -> str:
        """Absolute path or URI of the file."""
        return self.span.file if self.span else self.uri

    def whole(self) -> "Source":
        """Return the file of a span, as if it were listed whole."""
        changes = {"uri": self.file, "span": None, "licence": None}
        return self.model_copy(update=changes) if self.span else self


class Detections(Model):
    """Every face of every examined frame of a video; arrays have one item a face."""

    backend: str
    """Detector and model."""
    every: int
    """Every how many frames the detector looked."""
    frames: FrameNumbers
    """Frame of the source."""
    boxes: Boxes
    """x1 y1 x2 y2, source pixels."""
    points: FivePoints
    """Five points, source pixels."""
    scores: Floats
    """Detector score, 0..1."""
    landmarks: Annotated[np.ndarray, Array((2,))]
    """Landmarks of all faces one after another, source pixels."""
    landmark_count: int
    """Landmarks a face: 106, 68 or 0."""


class Cuts(Model):
    """Times and cuts of a video."""

    times: Doubles
    """Time of each frame, seconds from the first; one more item for the end of the last."""
    cuts: list[int]
    """First frame of each scene but the first."""


class SpeechActivity(Model):
    """Where somebody speaks in a video, and how loud it is."""

    starts: Doubles
    """Start of each span of speech, seconds from the first frame."""
    ends: Doubles
    """End of each span of speech, seconds from the first frame."""
    levels: Levels
    """Level of each window of `window_s` from the first frame on, dB relative to full scale."""
    window_s: float
    """Length of a window, seconds."""
    from_s: float = 0
    """What the times above count from: the start of a listed span, seconds from the first frame."""


class DetectedVideo(Model):
    """A video and what one pass over its frames, and one over its sound, found."""

    video: Video
    cuts: Cuts
    detections: Detections
    speech: SpeechActivity | None = None
    """Null where there is no sound."""


class FrameRange(Model):
    """Where a listed span is in its file."""

    start_frame: int
    end_frame: int
    start_s: float
    """Seconds from the first frame of the file."""
    end_s: float


class Segment(Model):
    """A part of a scene in which the same faces are seen throughout."""

    video: Video
    scene_index: int
    start_frame: int
    end_frame: int
    faces: int
    """Significant faces seen: 0, 1 or more."""
    times: Doubles
    """Time of each frame from start to end, seconds; one more item for the end."""
    track: FaceTrack | None
    """The face, where there is one; of several, each has a segment of its own."""
    others: list[FaceTrack] = Field(default_factory=list)
    """The other faces that are seen in it, where several count."""
    speech: SpeechActivity | None = None
    """The speech of the whole video; null where there is no sound."""


class Candidate(Model):
    """A clip in the making, with its face in source pixels, one item a source frame."""

    video: Video
    clip: Clip
    times: Doubles
    """Time of each source frame, seconds from the start of the video; one more for the end."""
    points: FivePoints
    detected: Bools
    landmarks: Annotated[np.ndarray, Array((2,))] | None = None
    landmark_count: int = 0
    spoken: Spans = Field(default_factory=lambda: np.zeros((0, 2)))
    """Start and end of each span of speech, seconds from the clip's start."""
    others: FivePoints = Field(default_factory=lambda: np.zeros((0, 5, 2), np.float32))
    """Points of the other faces, all frames of one after another; NaN where one is not seen."""
    other_tracks: list[str] = Field(default_factory=list)
    """Their tracks."""
    series: dict[str, Floats] = Field(default_factory=dict)
    """What earlier steps left for later ones, by name; never written down."""

    def update(self, **changes: Any) -> "Candidate":
        """Return this candidate with fields of its clip changed."""
        return self.model_copy(update={"clip": self.clip.model_copy(update=changes)})

    def apply(self, update: "Update") -> "Candidate":
        """Return this candidate with what `update` found out."""
        changed = self.update(**update.changes)
        return changed.model_copy(update={"series": {**self.series, **update.series}})


class Update(Model):
    """What a step found out about a clip, as the ledger keeps it."""

    changes: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    """Columns of `clips` to set."""
    series: dict[str, Floats] = Field(default_factory=dict)
    """For later steps, by name: float32 (N,), such as one number a frame or an embedding."""


STORED_AS = {"SpeechActivity": "Heard", "ClipFingerprint": "ClipPrint", "FaceEmbedding": "ClipFace"}
"""What ledgers call a type that had another name in version 0.1."""
KINDS: dict[str, type[Model]] = {
    STORED_AS.get(kind.__name__, kind.__name__): kind
    for kind in (
        *(
            Source,
            Video,
            Cuts,
            Detections,
            SpeechActivity,
            DetectedVideo,
            FrameRange,
            Segment,
            Candidate,
            Update,
        ),
        *(Scene, FaceTrack, Clip, ClipKps, ClipFingerprint, FaceEmbedding, Word),
        *(Generation, Evaluation, Speaking),
    )
}


def encode(unit: Model) -> bytes:
    """Return `unit` as bytes: the name of its type, a line feed, JSON."""
    name = type(unit).__name__
    return f"{STORED_AS.get(name, name)}\n{unit.model_dump_json()}".encode()


def decode(data: bytes) -> Any:
    """Return the unit that `encode` made; nothing but known types with known fields.

    Raises DatasetError for others: what the ledger keeps may be of a newer version.
    """
    kind, _, body = data.partition(b"\n")
    try:
        return KINDS[kind.decode()].model_validate_json(body)
    except (KeyError, ValueError) as error:
        raise DatasetError(
            f"ledger.sqlite: expected an answer of this version, found {kind[:40]!r} that it "
            "cannot read. Use the newer version that wrote it; or move ledger.sqlite away, and "
            "everything is computed again."
        ) from error
