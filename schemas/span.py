"""A part of a video that a row of a list names, and what the row says of it.

Its fields are columns of `videos`, those of `Listed` of `clips` too; columns of the list that are
none of these are kept as `source_…`, as text.
"""

import re

from pydantic import Field

from vexpress.schemas.model import Model

SPAN = re.compile(r"#(t|frames)=[\d.e,-]+(&(face|crop)=[\d.e,-]+)*$")
"""What the name of a span adds to that of its file."""


def file_of(source: str) -> str:
    """Return the file of a source: its name without the span."""
    return SPAN.sub("", source)


class Listed(Model):
    """What a row of a list says of what is seen."""

    listed_row: int | None = None
    """Row of the list, from 1; null where the source was no row of a list with spans."""
    listed_clip_id: str | None = None
    """Clip id that the list gives: that of the data set it was exported from."""
    listed_person: str | None = None
    """Person, as the list names them."""
    listed_language: str | None = None
    """Language, as the list names it."""
    listed_split: str | None = None
    """Part of the list's own division, such as `train` or `test`."""
    caption: str | None = None
    """Text that describes the clip, as the list gives it."""
    source_columns: dict[str, str] = Field(default_factory=dict)
    """Further columns of the list, by their names here: `source_…`."""


class Span(Listed):
    """The part itself. Times and frames are null until they are known; the end is exclusive."""

    file: str
    """File of the video: an absolute path or a URI."""
    span_start_s: float | None = None
    """Start of the listed span, seconds from the start of the video."""
    span_end_s: float | None = None
    """Its end, seconds from the start of the video; null where the list has frames alone."""
    span_start_frame: int | None = None
    """First frame of the source in the listed span."""
    span_end_frame: int | None = None
    """Frame of the source after its last."""
    span_box: list[float] | None = None
    """x1 y1 x2 y2 of the listed face: shares of the upright picture where none is above 1, else its
    pixels."""
    span_crop: list[int] | None = None
    """x1 y1 x2 y2 of the listed clip's square, source pixels: the span is one clip as it stands."""

    @property
    def name(self) -> str:
        """The span's own name among sources: its file's, with the span in the manner of a media
        fragment (W3C Media Fragments)."""
        unit, first, last = "t", self.span_start_s, self.span_end_s
        if first is None:
            unit, first, last = "frames", self.span_start_frame, self.span_end_frame
        places = {"face": self.span_box, "crop": self.span_crop}
        where = [f"&{name}={_joined(box)}" for name, box in places.items() if box]
        return f"{self.file}#{unit}={_joined([first, last])}{''.join(where)}"

    @property
    def identity(self) -> str:
        """What is listed, apart from the file and from what the row says of it."""
        return self.name.removeprefix(self.file)

    @property
    def is_located(self) -> bool:
        """Whether its times and its frames are known."""
        known = (self.span_start_s, self.span_end_s, self.span_start_frame, self.span_end_frame)
        return None not in known


def _joined(numbers: list[float] | list[int] | list[float | None]) -> str:
    return ",".join("" if n is None else f"{n!r}".removesuffix(".0") for n in numbers)
