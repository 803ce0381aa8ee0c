"""List what a source holds: a file, a folder, a glob or a list, local or on S3.

Names that cannot be videos are left out; names that could be, but are not readable files
(a folder called x.mp4, a link that leads to itself), are listed with their problem.
"""

import csv
import glob
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pyarrow.parquet as pq

from vexpress.schemas.errors import SourceError
from vexpress.tasks.engine.step import Rejection
from vexpress.tasks.engine.units import Source
from vexpress.tasks.media.frames import VIDEO_SUFFIXES, open_bytes, open_media

LIST_SUFFIXES = (".txt", ".csv", ".parquet")
AV_TIME_BASE = 1_000_000
COLUMNS = ("source", "path", "video", "uri", "file")


def list_sources(source: str) -> list[Source]:
    """Return the sources of `source`, in order of their names.

    Raises SourceError when there is nothing at all.
    """
    if source.lower().endswith(LIST_SUFFIXES):
        found = list(_from_list(source))
    elif "://" in source:
        found = list(_remote(source))
    else:
        found = list(_local(source))
    if not found:
        raise SourceError(
            f"{source}: expected videos ({', '.join(VIDEO_SUFFIXES[:6])}, …), found none"
        )
    unique = {item.uri: item for item in found}
    return [unique[uri] for uri in sorted(unique)]


def _local(source: str) -> Iterator[Source]:
    path = absolute(source)
    if path.is_dir():
        yield from _folder(path)
    elif os.path.lexists(path):
        yield describe_file(path)
    elif glob.has_magic(source):
        for found in Path(path.anchor).glob(str(path.relative_to(path.anchor))):
            if found.suffix.lower() in VIDEO_SUFFIXES:
                yield describe_file(found)
            if found.is_dir():
                yield from _folder(found)
    else:
        raise SourceError(f"{source}: expected a file, folder, glob or list, found nothing there")


def absolute(path: str, base: Path = Path()) -> Path:
    """Return `path` from `base` on, without following links; `~` alone is the home folder."""
    home = Path(path).parts[:1] == ("~",)
    return Path(os.path.abspath(base / (Path(path).expanduser() if home else path)))  # noqa: PTH100


def _folder(folder: Path) -> Iterator[Source]:
    """Every video below `folder`; linked folders too, each real folder once."""
    seen: set[str] = set()
    for parent, names, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            names.clear()
            continue
        seen.add(real)
        names.sort()
        for name in (*names, *files):
            path = Path(parent) / name
            if path.suffix.lower() in VIDEO_SUFFIXES:
                yield describe_file(path)


def describe_file(path: Path) -> Source:
    """Return one local path as a source, with its problem where it is no readable file."""
    name = os.fsencode(path).decode("utf-8", "backslashreplace")
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


def _remote(source: str) -> Iterator[Source]:
    from botocore.exceptions import BotoCoreError

    try:
        yield from _objects(source)
    except (OSError, BotoCoreError) as error:
        raise SourceError(
            f"{source}: expected a bucket or prefix that can be listed: {error}. "
            "Check its name, AWS_ENDPOINT_URL and the credentials in the environment."
        ) from error


def _objects(source: str) -> Iterator[Source]:
    files, root = fsspec.core.url_to_fs(source)
    names = files.glob(root) if glob.has_magic(root) else files.find(root)
    for name in names:
        if name.lower().endswith(VIDEO_SUFFIXES) or name == root:
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
    try:
        with open_bytes(source if "://" in source else str(absolute(source))) as file:
            if source.lower().endswith(".parquet"):
                rows = pq.read_table(file).to_pylist()
            else:
                text = file.read().decode("utf-8-sig")
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
                f"found {', '.join(map(str, row))}"
            )
        yield str(entry), row.get("licence") or None


def _rows_of_text(source: str, text: str) -> list[dict[str, str]]:
    if source.lower().endswith(".csv"):
        return list(csv.DictReader(io.StringIO(text, newline="")))
    lines = (line.strip() for line in io.StringIO(text))
    return [{"source": line} for line in lines if line and not line.startswith("#")]


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
