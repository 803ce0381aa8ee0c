"""Read lists of videos, and of spans of videos, as rows: text, CSV, JSON, JSON lines, Parquet.

Text is UTF-8 or UTF-16. Published lists that name no columns are given names here:

AVSpeech         CSV without a head: YouTube id, start and end in seconds, x and y of the face as
                 shares (looking-to-listen.github.io/avspeech/download.html)
TalkingHead-1KH  name, height, width, first and last frame, left, top, right, bottom in pixels of
                 that size (tcwang0509/TalkingHead-1KH, videos_crop.py)
HDTF             `*_annotion_time.txt`: file, then one or more of minutes:seconds-minutes:seconds
                 (MRzzm/HDTF, as universome/HDTF reads it)
VFHQ             names `Clip+ID+P0+C0+F100-200` of its meta files, or a folder of these; frames and
                 person from the name, the face's box from the file (liangbinxie/VFHQ)
CelebV-HQ        JSON with an object `clips` (CelebV-HQ/CelebV-HQ)
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from vexpress.schemas.errors import SourceError
from vexpress.schemas.width import MOST_COLUMNS, require_few_columns
from vexpress.tasks.media.frames import open_bytes

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
LINE_SUFFIXES = (".jsonl", ".ndjson")
LIST_SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".parquet", *LINE_SUFFIXES)
NUMBER = r"\s*-?\d+(\.\d+)?\s*"
AVSPEECH = re.compile(rf"[\w-]{{11}}(,{NUMBER}){{4}}")
TALKING_HEAD = re.compile(r"[^,]+(,\s*\d+\s*){8}")
CLOCK = r"\d+(:\d+){1,2}(\.\d+)?"
HDTF = re.compile(rf"\S+(\s+{CLOCK}-{CLOCK})+")
VFHQ = re.compile(r"(?:.*/)?Clip\+(.+)\+P(\d+)\+C(\d+)\+F(\d+)-(\d+)(\.\w+)?")
EXTRA = "columns without a name"
"""Where cells of a CSV line go that are more than its head has names for."""
Row = dict[str, Any]


def read_rows(source: str) -> list[Row]:
    """Return the rows of a list by the names of columns, nested ones joined with `_`.

    Raises SourceError where it cannot be read, with every line that is wrong.
    """
    try:
        rows = _read(source)
        names = {name for row in rows for name in row}
        if len(names) > MOST_COLUMNS:
            raise ValueError(f"expected at most {MOST_COLUMNS:,} columns, found {len(names):,}")
    except (OSError, ValueError, csv.Error) as error:
        raise SourceError(
            f"{source}: expected a list of videos, it cannot be read: {error}"
        ) from error
    return [_flat(row) for row in rows]


def is_vfhq_folder(source: str) -> bool:
    """Return whether a source is a folder of VFHQ's meta files."""
    folder = Path(source).expanduser()
    return "://" not in source and folder.is_dir() and any(folder.glob("Clip+*.txt"))


def _read(source: str) -> list[Row]:
    if is_vfhq_folder(source):
        return [_vfhq(path.name, path) for path in sorted(Path(source).expanduser().glob("*.txt"))]
    is_parquet, is_remote = source.lower().endswith(".parquet"), "://" in source
    if is_parquet and not is_remote:
        require_few_columns(Path(source).expanduser())
    with open_bytes(source if is_remote else str(Path(source).expanduser())) as file:
        if is_parquet:
            rows: list[Row] = pq.read_table(file).to_pylist()
            return rows
        text = _decoded(file.read())
    if source.lower().endswith(".json"):
        return _of_json(text)
    lines = [line.strip() for line in io.StringIO(text)]
    lines = [line for line in lines if line]
    if source.lower().endswith(LINE_SUFFIXES):
        return _of_json_lines(lines)
    if source.lower().endswith((".csv", ".tsv")):
        return _of_csv(text, lines)
    return _of_text([line for line in lines if not line.startswith("#")])


def _decoded(data: bytes) -> str:
    """Return a list's text: UTF-8, or UTF-16 with its mark, as Windows writes it."""
    return data.decode("utf-16" if data.startswith(UTF16) else "utf-8-sig")


def _of_csv(text: str, lines: list[str]) -> list[Row]:
    published = list(_published(lines))
    if published:
        return published
    head = lines[0] if lines else ""
    separator = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, restkey=EXTRA)
    names = reader.fieldnames or []
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"expected each column once, found twice: {', '.join(twice)}")
    return list(reader)


def _of_text(lines: list[str]) -> list[Row]:
    return list(_published(lines)) or [{"source": line} for line in lines]


def _published(lines: list[str]) -> Iterator[Row]:
    """Yield the rows of a published list without a head; none where it is no such list."""
    if not lines:
        return
    if all(map(AVSPEECH.fullmatch, lines)):
        names = ("youtube_id", "start_s", "end_s", "x", "y")
        yield from (dict(zip(names, line.split(","), strict=True)) for line in lines)
    elif all(map(TALKING_HEAD.fullmatch, lines)):
        yield from map(_talking_head, lines)
    elif all(map(HDTF.fullmatch, lines)):
        for line in lines:
            yield from _hdtf(line)
    elif all(map(VFHQ.fullmatch, lines)):
        yield from (_vfhq(line, None) for line in lines)


def _talking_head(line: str) -> Row:
    name, *numbers = line.split(",")
    height, width, first, last, *box = map(int, numbers)
    names = ("x1", "y1", "x2", "y2")
    frames = {"start_frame": first, "end_frame": last + 1}
    size = {"width": width, "height": height}
    return {"video_id": name.strip(), **frames, **size, **dict(zip(names, box, strict=True))}


def _hdtf(line: str) -> Iterator[Row]:
    name, *spans = line.split()
    for number, span in enumerate(spans):
        start, end = span.split("-")
        yield {"video_id": Path(name).stem, "start_s": start, "end_s": end, "clip": number}


def _vfhq(name: str, meta: Path | None) -> Row:
    found = VFHQ.fullmatch(name)
    if found is None:
        raise ValueError(f"{name}: expected a name such as Clip+ID+P0+C0+F100-200.txt")
    video, person, clip, first, last = found.groups()[:5]
    # The named frames are those at the cuts: the clip lies between them.
    frames = {"start_frame": int(first) + 1, "end_frame": int(last) - 1}
    row = {"video_id": video, "person": f"{video} P{person}", "clip": clip, **frames}
    return row | (_vfhq_box(meta) if meta else {})


def _vfhq_box(meta: Path) -> Row:
    said = dict(line.split(maxsplit=1) for line in meta.read_text().splitlines() if " " in line)
    said = {name.rstrip(":"): value.lstrip(": ") for name, value in said.items()}
    if not {"CROP", "H", "W"} <= said.keys():
        return {}
    box = dict(zip(("x1", "y1", "x2", "y2"), said["CROP"].split()[-4:], strict=False))
    return {**box, "height": said["H"], "width": said["W"]}


def _of_json(text: str) -> list[Row]:
    found = json.loads(text)
    if isinstance(found, dict) and isinstance(found.get("clips"), dict):
        return [{"clip": name, **row} for name, row in found["clips"].items()]
    if not isinstance(found, list):
        raise ValueError(f"expected a JSON list of objects, found {type(found).__name__}")
    wrong = [str(n) for n, row in enumerate(found, 1) if not isinstance(row, str | dict)]
    if wrong:
        raise ValueError(f"rows {', '.join(wrong)}: expected an object or a name")
    return [{"source": row} if isinstance(row, str) else row for row in found]


def _of_json_lines(lines: list[str]) -> list[Row]:
    """The rows; each line is an object or a name alone. Raises ValueError with all that are not."""
    rows, wrong = [], []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            wrong.append(f"line {number}: {error}")
            continue
        if not isinstance(row, str | dict):
            wrong.append(f"line {number}: expected an object or a name, found {line[:80]}")
        rows.append({"source": row} if isinstance(row, str) else row)
    if wrong:
        raise ValueError("\n  ".join(wrong))
    return rows


def _flat(row: Row) -> Row:
    """Return a row without objects in it, with names in small letters, digits and `_`."""
    flat: Row = {}
    for name, value in row.items():
        own = re.sub(r"[^0-9a-z]+", "_", str(name).lower()).strip("_")
        if isinstance(value, dict):
            flat |= {f"{own}_{inner}": inside for inner, inside in _flat(value).items()}
        else:
            flat[own] = value
    return flat
