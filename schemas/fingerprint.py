"""What tells a copy of a clip. Table `fingerprints`, one row per clip that was measured."""

from typing import Annotated, ClassVar

import numpy as np

from vexpress.schemas.row import Array, Row, formerly


class ClipFingerprint(Row):
    """How picture and sound of a clip change over time, `rate_hz` samples a second."""

    TABLE: ClassVar[str] = "fingerprints"
    FORMER_TABLE: ClassVar[str] = "prints"

    clip_id: str
    """The clip."""
    video_id: str
    """The video."""
    batch_id: str = formerly("wave_id", "batch_id", "")
    """The batch that wrote this row."""
    rate_hz: float
    """Samples a second of `picture` and `sound`."""
    picture: Annotated[np.ndarray, Array((35,), "int16")]
    """[samples][35]: lowest spatial frequencies (DCT) of the face's square, 32 pixels a side."""
    sound: Annotated[np.ndarray, Array((12,), "int16")]
    """[samples][12]: level in twelve bands from 120 to 5000 Hz, 0.01 dB; empty without sound."""
    codes: Annotated[np.ndarray, Array((), "int32")]
    """Codes of windows of two seconds; copies have some in common. From 2^24 on: of the sound."""
