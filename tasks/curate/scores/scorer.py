"""What looks at a finished clip, frame after frame, while `measure.py` decodes it once.

A scorer lives as long as its worker and loads its weights once; for each clip it begins a
`Scoring`. Its answer is kept in the ledger under a key of its own, so that a new or changed
scorer looks at every clip again and the others do not.
"""

from collections.abc import Iterable
from typing import Any, ClassVar, Protocol

import numpy as np

from vexpress.hashes import blake2b
from vexpress.schemas.keypoints import ClipKps
from vexpress.schemas.row import Model
from vexpress.tasks.engine.step import Context, make_key
from vexpress.tasks.engine.units import Candidate


class Scoring(Protocol):
    """One scorer's look at one clip."""

    def see(self, number: int, image_bgr: np.ndarray) -> None:
        """Look at frame `number`, BGR uint8 (size, size, 3), which must not be written to."""
        ...

    def answer(self) -> Iterable[Model]:
        """Return what was found, after the last frame.

        An `Update` with the columns of the clip and the series for later steps, and rows of
        manifests. A score that cannot be had is left out; a Rejection may be raised.
        """
        ...


class Scorer:
    """Base of all scorers of clips; subclasses begin a look in `begin`."""

    NAME: ClassVar[str]
    LEDGER_NAME: ClassVar[str] = ""
    """What its keys call it, where it was called otherwise in version 0.1."""
    VERSION: ClassVar[int] = 1
    """Raise it when the same clip gives another answer."""

    def __init__(self, config: Any, context: Context) -> None:
        self.config = config
        self.context = context

    def begin(self, row: Candidate, points: ClipKps) -> Scoring:
        """Return a look at one clip; `points` are in pixels of the pictures it will see."""
        raise NotImplementedError

    def wanted(self, row: Candidate) -> bool:
        """Return whether there is anything to find; False where weights are missing."""
        return True

    def settings(self) -> str:
        """Return the settings that the answer depends on, as JSON."""
        return self.config.model_dump_json() if isinstance(self.config, Model) else ""

    def weights_digest(self) -> str:
        """Return a digest of the weights this scorer uses; empty without weights."""
        return ""

    def key(self, row: Candidate) -> str:
        """Return the ledger key: the clip, the points on it, and all that watches it."""
        points = blake2b(row.points.tobytes(), 8)
        parts = (
            self.LEDGER_NAME or self.NAME,
            self.VERSION,
            self.settings(),
            self.weights_digest(),
        )
        return make_key(*parts, row.clip.clip_id, points)
