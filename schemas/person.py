"""Who is who across a data set. Table `persons`, one row per clip; the newest part counts."""

from typing import ClassVar

from vexpress.schemas.row import Row


class ClipPerson(Row):
    """The person of one clip."""

    TABLE: ClassVar[str] = "persons"

    clip_id: str
    """The clip."""
    person_id: str
    """The person: a hash of the first clip of theirs that was seen, kept when others follow."""
    distance: float
    """From the clip's vector to the mean of the person's, in the back end's own measure."""
    backend: str
    """What made the vectors."""
