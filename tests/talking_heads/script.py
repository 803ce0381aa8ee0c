"""What a rendered video shows and sounds like: the renderer's input."""

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Identity = Literal["astronaut", "mirrored", "narrow"]
Background = Literal["studio", "office", "wall", "coffee", "rocket", "hubble", "black"]


class Script(BaseModel):
    """Base of the script's parts: frozen, and a misspelt name is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Face(Script):
    """One person in a shot, gently swaying, nodding and blinking."""

    identity: Identity = "astronaut"
    """Whose head: the photograph, or one of two derived from it (recoloured, re-proportioned)."""
    width_px: Annotated[float, Field(gt=0)] = 280
    """Width of the face box at the start of the shot, pixels of the upright frame."""
    x: float = 0.5
    """Centre of the face box at the start, in frame widths; outside 0..1 is off the screen."""
    y: float = 0.46
    """Centre of the face box at the start, in frame heights."""
    drift_x: float = 0
    """Travel to the right over the shot, in frame widths."""
    zoom: Annotated[float, Field(gt=0)] = 1
    """Size at the end of the shot over size at its start."""
    sway_px: float = 10
    """Amplitude of the sideways sway, pixels."""
    tilt_deg: float = 2.5
    """Amplitude of the head's tilt, degrees."""
    framed: bool = False
    """Shown as a small framed picture (an inset portrait) that does not move."""


class Speech(Script):
    """One spoken sentence."""

    text: str
    """What is said."""
    start_s: Annotated[float, Field(ge=0)] = 0.3
    """When it starts, seconds after the shot's start. It is cut off where the shot ends."""
    speaker: int | None = 0
    """Whose lips move: index into the shot's faces; None is a voice off the screen."""
    recording: Path | None = None
    """A sound file that is heard instead of the voice; `text` then only tells what it says."""
    voice: str = "en-us+f4"
    """Name of an eSpeak NG voice. Those with breath (f2, f3, f5) differ a little in every run."""


class Shot(Script):
    """One camera position. The next shot follows with a hard cut unless faded."""

    duration_s: Annotated[float, Field(gt=0)]
    """Length, seconds."""
    faces: tuple[Face, ...] = ()
    """Who is seen; later ones stand in front."""
    speech: tuple[Speech, ...] = ()
    """What is heard; otherwise digital silence."""
    background: Background = "studio"
    """What stands behind; office and wall are out of focus."""
    pan_px: float = 0
    """Travel of the background over the shot, pixels."""
    fade_in_s: Annotated[float, Field(ge=0)] = 0
    """Length of the fade from black at the start, seconds."""
    fade_out_s: Annotated[float, Field(ge=0)] = 0
    """Length of the fade to black at the end, seconds."""


class VideoFormat(Script):
    """How the video is stored. Truth is always told in the upright square-pixel frame."""

    width: Annotated[int, Field(gt=0)] = 960
    """Upright square-pixel width."""
    height: Annotated[int, Field(gt=0)] = 720
    """Upright square-pixel height."""
    fps: Fraction = Fraction(25)
    """Frames per second."""
    drop_every: Annotated[int | None, Field(ge=2)] = None
    """Leave out every n-th frame, so that its predecessor stays longer: variable frame rate."""
    rotation: Literal[0, 90, 180, 270] = 0
    """Clockwise turn, degrees, that a player must apply to the stored picture."""
    pixel_aspect: Fraction = Fraction(1)
    """Width of a stored pixel over its height."""
    codec: str = "libx264"
    """Video encoder."""
    pixel_format: str = "yuv420p"
    """Stored pixel format."""
    crf: int = 23
    """Quality of the encoder, lower is better."""
    sound: bool = True
    """Whether there is a sound stream."""
    sample_rate: int = 44100
    """Of the sound stream, Hz."""
    sound_late_s: float = 0
    """How much later than the lips the sound is heard: a fault. Negative is early."""
    sound_from_s: Annotated[float, Field(ge=0)] = 0
    """When the sound stream begins; what sounded earlier is not stored, the rest stays in time."""
    faststart: bool = False
    """Put the index (moov) before the media instead of behind it."""
