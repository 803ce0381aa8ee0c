"""A named selection of clips. Table `selections`, one row per selection."""

from typing import ClassVar

from vexpress.schemas.row import Row, formerly


class Selection(Row):
    """A list of clips as they were when it was made; it is never asked for again."""

    TABLE: ClassVar[str] = "selections"
    FORMER_TABLE: ClassVar[str] = "picks"

    name: str
    """What it is called: small letters, digits, `-` and `_`."""
    sql: str
    """The question that chose the clips."""
    per_person_minutes: float | None = None
    """Most minutes of one person; null: any."""
    selected_at: str = formerly("picked_at", "selected_at", ...)
    """ISO 8601 UTC."""
    clips: int
    """How many clips."""
    seconds: float
    """How long they are together, seconds."""
    clip_ids: list[str]
    """The clips."""
