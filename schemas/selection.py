"""A named selection of clips. Table `picks`, one row per selection."""

from typing import ClassVar

from vexpress.schemas.row import Row


class Pick(Row):
    """A list of clips as they were when it was made; it is never asked for again."""

    TABLE: ClassVar[str] = "picks"

    name: str
    """What it is called: small letters, digits, `-` and `_`."""
    sql: str
    """The question that chose the clips."""
    picked_at: str
    """ISO 8601 UTC."""
    clips: int
    """How many clips."""
    seconds: float
    """How long they are together, seconds."""
    clip_ids: list[str]
    """The clips."""
