"""Which clips show what another shows. Table `duplicates`; the newest part counts."""

from typing import ClassVar

from vexpress.schemas.row import Row


class Duplicate(Row):
    """A clip of which the data set has a better copy."""

    TABLE: ClassVar[str] = "duplicates"

    clip_id: str
    """The clip that is left out."""
    duplicate_of: str
    """The clip that is kept instead."""
    sound: float | None
    """Correlation of their sounds over time, -1..1; null where either is silent."""
    picture: float | None
    """Correlation of their motion over time, -1..1; null where either is still."""
    look: float
    """Correlation of their mean pictures, -1..1."""
    mirrored: bool
    """Whether one is the other's mirror image."""
    speed: float
    """Speed of this clip over the other's."""
    shift_s: float
    """Where this clip begins in the other's time, seconds."""
    overlap_s: float
    """Length of what both show, seconds of the other."""
    note: str
    """The same in words."""
