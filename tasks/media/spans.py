"""Rows of a list as sources: whole files, or spans of files.

What cannot be meant (a span that ends before it begins, half a box) refuses the list, with every
wrong row named. What only the videos tell (no such file, two spans of one face) is a source with
its problem: a row of the data set.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from textwrap import shorten
from typing import Any
from urllib.parse import parse_qs, urlparse

from vexpress.schemas.errors import SourceError
from vexpress.schemas.span import Span
from vexpress.tasks.engine.units import Source
from vexpress.tasks.media.lists import EXTRA, Row

FILES = ("source", "path", "video", "uri", "file", "video_path", "file_path", "file_name")
IDS = ("youtube_id", "ytb_id", "yt_id", "info_video_link", "video_link", "url", "video_id", "id")
STARTS = ("start_s", "start", "start_sec", "start_time", "duration_start_sec")
ENDS = ("end_s", "end", "end_sec", "end_time", "duration_end_sec")
START_FRAMES = ("start_frame", "frame_start")
END_FRAMES = ("end_frame", "frame_end")
EDGES = (STARTS, ENDS, START_FRAMES, END_FRAMES)
CROP = ("crop_x1", "crop_y1", "crop_x2", "crop_y2")
BOXES = (
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
    ("bbox_left", "bbox_top", "bbox_right", "bbox_bottom"),
)
BOX_LISTS = ("bbox", "box", "face_box")
POINT = ("x", "y")
WORDS = {
    "listed_clip_id": ("clip_id",),
    "listed_person": ("person", "person_id", "info_person_id", "speaker", "identity"),
    "listed_language": ("language", "lang", "info_language"),
    "listed_split": ("split", "subset"),
    "caption": ("caption", "text", "prompt", "description"),
}
LICENCES = ("licence", "license")
SIZE = ("width", "height")
TAKEN = {
    *(name for names in (FILES, IDS, *EDGES, CROP, *BOXES, POINT, LICENCES) for name in names),
    *(name for names in WORDS.values() for name in names),
    *BOX_LISTS,
}
"""Columns with a meaning here; others are kept as `source_…`."""
CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)")
SHOWN = 100
"""Wrong rows that are shown with what is wrong."""
TOUCHING_S = 0.05
"""Spans that have less than this in common do not overlap, seconds."""
SAME_FACE = 0.5
"""Overlap (intersection over union) from which two boxes are of one face."""
Find = Callable[[str, bool], list[Source]]
"""Returns the file of a path or, where True, of an id; several for the name of a remote folder."""


def sources_of(rows: list[Row], where: str, find: Find) -> list[Source]:
    """Return the sources that the rows of the list `where` name.

    Raises SourceError with every row that is wrong.
    """
    has_spans = any(_value(row, names) is not None for row in rows for names in EDGES)
    found: list[Source] = []
    wrong: list[tuple[int, str]] = []
    for number, row in enumerate(rows, 1):
        try:
            span = _span(row, number) if has_spans else None
            found += _sources(row, span, find)
        except ValueError as error:
            wrong.append((number, str(error)))
    wrong += _same_spans(found)
    if wrong:
        told = [f"row {number}: {words}" for number, words in wrong[:SHOWN]]
        if len(wrong) > SHOWN:
            told.append(f"and rows {in_ranges([number for number, _ in wrong[SHOWN:]])}")
        raise SourceError(
            f"{where}: {len(wrong)} of {len(rows)} rows cannot be used:\n  " + "\n  ".join(told)
        )
    return list(mark_overlaps(found))


def _sources(row: Row, span: Span | None, find: Find) -> list[Source]:
    if row.get(_plain(EXTRA)):
        raise ValueError("expected a value a column, found more values than columns")
    path, name = _value(row, FILES), _value(row, IDS)
    if path is None and name is None:
        names = ", ".join(FILES[:5])
        raise ValueError(
            f"expected a column named one of {names}, or one with ids ({', '.join(IDS)}), "
            f"found {shorten(', '.join(row), 300, placeholder=' …')}"
        )
    files = find(str(path), False) if path is not None else find(_id(str(name)), True)
    licence = _text(_value(row, LICENCES))
    if span is None:
        return [file.model_copy(update={"licence": licence}) for file in files]
    if len(files) != 1:
        raise ValueError(f"expected one video, found {len(files)} named {path}")
    span = span.model_copy(update={"file": files[0].uri})
    return [files[0].model_copy(update={"uri": span.name, "licence": licence, "span": span})]


def _span(row: Row, number: int) -> Span:
    places = [_value(row, names) for names in EDGES]
    start_s, end_s = (None if p is None else seconds(p) for p in places[:2])
    first, last = (None if p is None else _whole(p) for p in places[2:])
    crop, others = _crop(row), _others(row, TAKEN)
    if crop is None and None not in (start_s, end_s):
        first = last = None  # of lists that have both, the rate may be another file's
        others |= _others({n: row[n] for n in (*START_FRAMES, *END_FRAMES) if n in row}, ())
    for start, end, what in ((start_s, end_s, "start and end"), (first, last, "frames")):
        if (start is None) != (end is None):
            raise ValueError(f"expected both {what}, found one")
        if start is not None and end is not None and not 0 <= start < end:
            raise ValueError(f"expected 0 ≤ start < end, found {start:g} to {end:g}")
    if start_s is None and first is None:
        raise ValueError("expected start and end, in seconds or frames, found none")
    return Span(
        file="",
        span_start_s=start_s,
        span_end_s=end_s,
        span_start_frame=first,
        span_end_frame=last,
        span_box=_box(row),
        span_crop=crop,
        listed_row=number,
        **{field: _text(_value(row, names)) for field, names in WORDS.items()},
        source_columns=others,
    )


def seconds(value: Any) -> float:
    """Return seconds, of a number or of hours:minutes:seconds; raises ValueError."""
    clock = CLOCK.fullmatch(str(value).strip())
    if clock:
        hours, minutes, rest = clock.groups()
        return 3600 * int(hours or 0) + 60 * int(minutes) + float(rest)
    return _number(value, "seconds, or hours:minutes:seconds")


def _number(value: Any, what: str = "a number") -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"expected {what}, found {str(value)[:80]!r}")
    return number


def _whole(value: Any) -> int:
    number = _number(value, "a frame's number")
    if number != int(number):
        raise ValueError(f"expected a frame's number, found {value!r}")
    return int(number)


def _box(row: Row) -> list[float] | None:
    box = next(filter(None, (_numbers(row, names) for names in BOXES)), None)
    given = _value(row, BOX_LISTS)
    if box is None and given is not None:
        parts = re.findall(r"[^\s,;\[\]()]+", given) if isinstance(given, str) else list(given)
        if len(parts) != 4:
            raise ValueError(f"expected a box of four numbers, found {str(given)[:80]!r}")
        box = [_number(part) for part in parts]
    point = None if box else _numbers(row, POINT)
    if point:
        return [*point, *point]
    if box is None:
        return None
    if min(box) < 0 or box[0] >= box[2] or box[1] >= box[3]:
        raise ValueError(f"expected a box x1 < x2, y1 < y2, none below 0, found {box}")
    if max(box) > 1 and all(row.get(name) for name in SIZE):
        width, height = (_number(row[name]) for name in SIZE)
        box = [box[0] / width, box[1] / height, box[2] / width, box[3] / height]
    return box


def _crop(row: Row) -> list[int] | None:
    crop = _numbers(row, CROP)
    if crop is None:
        return None
    square = [round(side) for side in crop]
    if square[2] - square[0] != square[3] - square[1] or square[2] <= square[0]:
        raise ValueError(f"expected a crop that is a square, found {square}")
    return square


def _numbers(row: Row, names: Sequence[str]) -> list[float] | None:
    """The numbers of several columns; None where none of them has one."""
    found = [row.get(name) for name in names]
    if all(value in (None, "") for value in found):
        return None
    if any(value in (None, "") for value in found):
        raise ValueError(f"expected all of {', '.join(names)}, found only some")
    return [_number(value) for value in found]


def _value(row: Row, names: Sequence[str]) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _others(row: Row, taken: Collection[str]) -> dict[str, str]:
    others = {n: v for n, v in row.items() if n not in taken and v not in (None, "", [])}
    return {f"source_{n.removeprefix('source_')}": str(v) for n, v in others.items()}


def _plain(name: str) -> str:
    return name.replace(" ", "_")


def _id(value: str) -> str:
    """An id as it is, or that of a YouTube link."""
    if "://" not in value:
        return value
    link = urlparse(value)
    return (parse_qs(link.query).get("v") or [link.path.rpartition("/")[2]])[0]


def in_ranges(numbers: list[int]) -> str:
    """Return numbers in order as words: 3, 7…9."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(f"{a}…{b}" if b > a else str(a) for a, b in ranges)


def _same_spans(found: list[Source]) -> Iterator[tuple[int, str]]:
    rows: dict[str, int] = {}
    for source in found:
        if source.span:
            number = source.span.listed_row or 0
            first = rows.setdefault(source.uri, number)
            if first != number:
                yield number, f"expected each span once, found that of row {first}"


def mark_overlaps(sources: list[Source]) -> Iterator[Source]:
    """Yield the sources; of spans of one face that overlap, the later ones have a problem."""
    by_file: dict[tuple[str, bool], list[Span]] = defaultdict(list)
    for source in sources:
        if source.span and not source.problem:
            by_file[source.file, source.span.span_start_s is None].append(source.span)
    overlaps = {row: other for spans in by_file.values() for row, other in _overlaps(spans)}
    for source in sources:
        other = overlaps.get(source.span.listed_row) if source.span else None
        problem = {"problem": f"it overlaps that of row {other}", "reason": "overlap"}
        yield source.model_copy(update=problem) if other else source


def _overlaps(spans: list[Span]) -> Iterator[tuple[int | None, int | None]]:
    """Yield the row of each span that overlaps one before it, and that one's."""
    live: list[Span] = []
    for span in sorted(spans, key=lambda s: (_edges(s), s.listed_row)):
        start = _edges(span)[0]
        live = [before for before in live if _edges(before)[1] > start + TOUCHING_S]
        other = next((before for before in live if _is_same_face(before, span)), None)
        if other:
            yield span.listed_row, other.listed_row
        else:
            live.append(span)


def _edges(span: Span) -> tuple[float, float]:
    if span.span_start_s is None:
        return float(span.span_start_frame or 0), float(span.span_end_frame or 0)
    return span.span_start_s, span.span_end_s or 0.0


def _is_same_face(a: Span, b: Span) -> bool:
    if a.span_crop and b.span_crop:
        return a.span_crop == b.span_crop
    if not a.span_box or not b.span_box:
        return True
    return _overlap(a.span_box, b.span_box) >= SAME_FACE


def _overlap(a: list[float], b: list[float]) -> float:
    """Intersection over union of two boxes; 1 for equal points."""
    if a == b:
        return 1.0
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    common = width * height
    return common / (sum(areas) - common) if sum(areas) > common else 0.0
