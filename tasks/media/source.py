"""List what a source holds: a file, a folder, a glob or a list, local or on S3.

Names that cannot be videos are left out; names that could be, but are not readable files
(a folder called x.mp4, a link that leads to itself), are listed with their problem. What lies
in a bin, is a thumbnail or an unfinished download is left out, and counted.
"""

import codecs
import csv
import fnmatch
import glob
import io
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import shorten

import fsspec
import pyarrow.parquet as pq

from vexpress.schemas.errors import SourceError
from vexpress.schemas.width import require_few_columns
from vexpress.tasks.engine.step import Rejection
from vexpress.tasks.engine.units import Source
from vexpress.tasks.media.frames import VIDEO_SUFFIXES, open_bytes, open_media

LINE_SUFFIXES = (".jsonl", ".ndjson")
LIST_SUFFIXES = (".txt", ".csv", ".parquet", *LINE_SUFFIXES)
BY_PRODUCTS = (
    *(".Trash", ".Trash-*", ".Trashes", "$RECYCLE.BIN", "RECYCLER", "#recycle", "@Recycle"),
    *("@eaDir", "@SynoEAStream", "#snapshot", ".thumbnails", ".thumbs", ".AppleDouble"),
    *(".Spotlight-V100", ".fseventsd", "System Volume Information", "lost+found"),
    *("._*", "*.part", "*.part.*", "*.partial", "*.crdownload", "*.!ut", "*.ytdl"),
)
"""Names, of folders or files, of what systems and programs leave behind beside videos."""
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
AV_TIME_BASE = 1_000_000
COLUMNS = ("source", "path", "video", "uri", "file")


def list_sources(source: str) -> list[Source]:
    """Return the sources of `source`, in order of their names.

    Raises SourceError when there is nothing at all.
    """
    return list_with_left_out(source)[0]


def left_out_note(left_out: list[str]) -> str:
    """Return in words what was left out."""
    shown = ", ".join(left_out[:3]) + (", …" if len(left_out) > 3 else "")
    return f"{len(left_out)} left out: in a bin, thumbnails or unfinished ({shown})"


def list_with_left_out(source: str) -> tuple[list[Source], list[str]]:
    """Return the sources as `list_sources` does, and the names of by-products left out: folders,
    whatever they hold, and files."""
    left_out: list[str] = []
    if source.lower().endswith(LIST_SUFFIXES):
        found = list(_from_list(source))
    elif "://" in source:
        found = list(_remote(source, left_out))
    else:
        found = list(_local(source, left_out))
    if not found:
        note = f"; {left_out_note(left_out)}" if left_out else ""
        raise SourceError(
            f"{source}: expected videos ({', '.join(VIDEO_SUFFIXES[:6])}, …), found none{note}"
        )
    unique = {item.uri: item for item in found}
    return [unique[uri] for uri in sorted(unique)], sorted(left_out)


def is_by_product(name: str) -> bool:
    """Return whether a folder or file of that name is left behind by a system or program."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in BY_PRODUCTS)


def _local(source: str, left_out: list[str]) -> Iterator[Source]:
    path = absolute(source)
    if path.is_dir():
        yield from _folder(path, left_out)
    elif os.path.lexists(path):
        yield describe_file(path)
    elif glob.has_magic(source):
        for found in Path(path.anchor).glob(str(path.relative_to(path.anchor))):
            if is_by_product(found.name):
                left_out.append(str(found))
                continue
            if found.suffix.lower() in VIDEO_SUFFIXES:
                yield describe_file(found)
            if found.is_dir():
                yield from _folder(found, left_out)
    else:
        raise SourceError(f"{source}: expected a file, folder, glob or list, found nothing there")


def absolute(path: str, base: Path = Path()) -> Path:
    """Return `path` from `base` on, without following links; `~` alone is the home folder."""
    home = Path(path).parts[:1] == ("~",)
    return Path(os.path.abspath(base / (Path(path).expanduser() if home else path)))  # noqa: PTH100


def _folder(folder: Path, left_out: list[str]) -> Iterator[Source]:
    """Every video below `folder`; linked folders too, each real folder once.

    Raises SourceError where `folder` itself may not be read; one below it is a source with its
    problem.
    """
    seen: set[str] = set()
    closed: list[OSError] = []
    for parent, names, files in os.walk(folder, followlinks=True, onerror=closed.append):
        real = os.path.realpath(parent)
        if real in seen:
            names.clear()
            continue
        seen.add(real)
        by_products = [name for name in (*names, *files) if is_by_product(name)]
        left_out += [_printable(Path(parent) / name) for name in by_products]
        names[:] = sorted(name for name in names if not is_by_product(name))
        for name in (*names, *files):
            path = Path(parent) / name
            if path.suffix.lower() in VIDEO_SUFFIXES and not is_by_product(name):
                yield describe_file(path)
    for error in closed:
        problem = f"expected a folder that can be read: {error.strerror}"
        if Path(error.filename) == folder:
            raise SourceError(f"{folder}: {problem}") from error
        yield Source(uri=_printable(Path(error.filename)), problem=problem)


def _printable(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def describe_file(path: Path) -> Source:
    """Return one local path as a source, with its problem where it is no readable file."""
    name = _printable(path)
    if name != str(path):
        return Source(uri=name, problem="expected a name in UTF-8; rename the file")
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        return Source(uri=name, problem=f"expected a file, found a name that leads nowhere: {why}")
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "something that is no file"
        return Source(uri=name, problem=f"expected a file, found {kind}")
    return Source(uri=name, size_bytes=status.st_size, modified=str(status.st_mtime_ns))


def _remote(source: str, left_out: list[str] | None = None) -> Iterator[Source]:
    from botocore.exceptions import BotoCoreError

    try:
        yield from _objects(source, [] if left_out is None else left_out)
    except (OSError, BotoCoreError) as error:
        raise SourceError(
            f"{source}: expected a bucket or prefix that can be listed: {error}. "
            "Check its name, AWS_ENDPOINT_URL and the credentials in the environment."
        ) from error


def _objects(source: str, left_out: list[str]) -> Iterator[Source]:
    files, root = fsspec.core.url_to_fs(source)
    names = files.glob(root) if glob.has_magic(root) else files.find(root)
    for name in names:
        below = name.removeprefix(root).strip("/").split("/") if name != root else []
        if any(map(is_by_product, below)):
            left_out.append(files.unstrip_protocol(name))
        elif name.lower().endswith(VIDEO_SUFFIXES) or name == root:
            info = files.info(name)
            stamp = str(info.get("ETag") or info.get("LastModified") or info.get("mtime"))
            uri = files.unstrip_protocol(name)
            yield Source(uri=uri, size_bytes=info.get("size"), modified=stamp)


def _from_list(source: str) -> Iterator[Source]:
    for entry, licence in _entries(source):
        for item in _listed(entry, source):
            yield item.model_copy(update={"licence": licence})


def _listed(entry: str, source: str) -> list[Source]:
    """What an entry of a list names; a relative path counts from the list's folder."""
    if "://" in entry:
        return list(_remote(entry)) or [_gone(entry)]
    if "://" in source:
        return _listed(f"{source.rpartition('/')[0]}/{entry}", source)
    return [describe_file(absolute(entry, absolute(source).parent))]


def _gone(uri: str) -> Source:
    return Source(uri=uri, problem="expected a video of that name, found nothing there")


def _entries(source: str) -> Iterator[tuple[str, str | None]]:
    is_parquet = source.lower().endswith(".parquet")
    try:
        if is_parquet and "://" not in source:
            require_few_columns(absolute(source))
        with open_bytes(source if "://" in source else str(absolute(source))) as file:
            if is_parquet:
                rows = pq.read_table(file).to_pylist()
            else:
                text = _decoded(file.read())
                rows = _rows_of_text(source, text)
    except (OSError, ValueError, csv.Error) as error:
        raise SourceError(
            f"{source}: expected a list of videos, it cannot be read: {error}"
        ) from error
    for number, row in enumerate(rows, 1):
        entry = next((row[name] for name in COLUMNS if row.get(name)), None)
        if entry is None:
            raise SourceError(
                f"{source}, row {number}: expected a column named one of {', '.join(COLUMNS)}, "
                f"found {shorten(', '.join(map(str, row)), 300, placeholder=' …')}"
            )
        yield str(entry), row.get("licence") or None


def _decoded(data: bytes) -> str:
    """Return a list's text: UTF-8, or UTF-16 with its mark, as Windows writes it."""
    return data.decode("utf-16" if data.startswith(UTF16) else "utf-8-sig")


def _rows_of_text(source: str, text: str) -> list[dict[str, str]]:
    if source.lower().endswith(".csv"):
        return list(csv.DictReader(io.StringIO(text, newline="")))
    lines = [line.strip() for line in io.StringIO(text)]
    if source.lower().endswith(LINE_SUFFIXES):
        return [_json_row(line, number) for number, line in enumerate(lines, 1) if line]
    return [{"source": line} for line in lines if line and not line.startswith("#")]


def _json_row(line: str, number: int) -> dict[str, str]:
    """Return a line of JSON, an object or a name alone, as a row; raise ValueError for others."""
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from error
    if not isinstance(row, str | dict):
        raise ValueError(f"line {number}: expected an object or a name, found {line[:80]}")
    return {"source": row} if isinstance(row, str) else row


def describe_again(uri: str) -> Source:
    """Return a source that was listed before, as it is now."""
    return next(_remote(uri), _gone(uri)) if "://" in uri else describe_file(Path(uri))


def total_duration(sources: list[Source]) -> float:
    """Return the seconds of video that the headers declare; nothing is decoded."""
    with ThreadPoolExecutor(8) as pool:
        return sum(pool.map(_duration, sources))


def _duration(source: Source) -> float:
    try:
        with open_media(source.uri) as container:
            return float((container.duration or 0) / AV_TIME_BASE)
    except Rejection:
        return 0.0
