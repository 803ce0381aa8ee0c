"""List what a source holds: a file, a folder, a glob or a list, local or on S3.

Names that cannot be videos are left out; names that could be, but are not readable files
(a folder called x.mp4, a link that leads to itself), are listed with their problem. What lies
in a bin, is a thumbnail or an unfinished download is left out, and counted.
"""

import fnmatch
import glob
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path, PurePath

import fsspec

from vexpress.schemas.errors import SourceError
from vexpress.tasks.engine.step import Rejection
from vexpress.tasks.engine.units import Source
from vexpress.tasks.media.frames import VIDEO_SUFFIXES, open_media
from vexpress.tasks.media.lists import LIST_SUFFIXES, is_vfhq_folder, read_rows
from vexpress.tasks.media.spans import sources_of

BY_PRODUCTS = (
    *(".Trash", ".Trash-*", ".Trashes", "$RECYCLE.BIN", "RECYCLER", "#recycle", "@Recycle"),
    *("@eaDir", "@SynoEAStream", "#snapshot", ".thumbnails", ".thumbs", ".AppleDouble"),
    *(".Spotlight-V100", ".fseventsd", "System Volume Information", "lost+found"),
    *("._*", "*.part", "*.part.*", "*.partial", "*.crdownload", "*.!ut", "*.ytdl"),
)
"""Names, of folders or files, of what systems and programs leave behind beside videos."""
AV_TIME_BASE = 1_000_000
USUAL_FPS = 25


def list_sources(source: str, root: str | None = None) -> list[Source]:
    """Return the sources of `source`, in order of their names.

    `root`: the folder of the videos that a list names by relative paths or ids; else the list's
    own. Raises SourceError when there is nothing at all, or a list is wrong.
    """
    return list_with_left_out(source, root)[0]


def left_out_note(left_out: list[str]) -> str:
    """Return in words what was left out."""
    shown = ", ".join(left_out[:3]) + (", …" if len(left_out) > 3 else "")
    return f"{len(left_out)} left out: in a bin, thumbnails or unfinished ({shown})"


def list_with_left_out(source: str, root: str | None = None) -> tuple[list[Source], list[str]]:
    """Return the sources as `list_sources` does, and the names of by-products left out: folders,
    whatever they hold, and files."""
    left_out: list[str] = []
    if source.lower().endswith(LIST_SUFFIXES) or is_vfhq_folder(source):
        found = _from_list(source, root)
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


def _from_list(source: str, root: str | None) -> list[Source]:
    files = ListedFiles(source, root)
    return sources_of(read_rows(source), source, files.find)


class ListedFiles:
    """The files that a list names: by paths from its own folder or from `root` on, or by ids."""

    def __init__(self, source: str, root: str | None) -> None:
        self._root = root
        folder = source.rpartition("/")[0] if "://" in source else str(absolute(source).parent)
        if is_vfhq_folder(source):
            folder = str(absolute(source))
        self._folder = root or folder
        self._known: dict[tuple[str, bool], list[Source]] = {}

    def find(self, entry: str, is_id: bool) -> list[Source]:
        """Return the file of a path or an id, or those below a remote name; one that is not there
        is a source with a problem."""
        key = entry, is_id
        if key not in self._known:
            self._known[key] = [self._by_id(entry)] if is_id else self._by_path(entry)
        return self._known[key]

    def _by_path(self, entry: str) -> list[Source]:
        if "://" in entry:
            return list(_remote(entry)) or [_gone(entry)]
        if "://" in self._folder:
            return self._by_path(f"{self._folder.rstrip('/')}/{entry}")
        found = describe_file(absolute(entry, absolute(self._folder)))
        if found.problem and self._root:
            same = self._below.get(PurePath(entry).name, [])
            return same if len(same) == 1 else [found]
        return [found]

    def _by_id(self, entry: str) -> Source:
        same = self._below.get(entry) or self._below.get(PurePath(entry).stem) or []
        if len(same) == 1:
            return same[0]
        found = f"{len(same)} files" if same else "none"
        problem = f"expected one video of that name below {self._folder}, found {found}"
        return Source(uri=f"{self._folder.rstrip('/')}/{entry}", problem=problem)

    @cached_property
    def _below(self) -> dict[str, list[Source]]:
        """Every video below the folder, by its name and by its name without a suffix."""
        folder = self._folder
        found = _remote(folder) if "://" in folder else _folder(absolute(folder), [])
        names: dict[str, list[Source]] = {}
        for item in found:
            name = PurePath(item.uri)
            for key in {name.name, name.stem}:
                names.setdefault(key, []).append(item)
        return names


def _gone(uri: str) -> Source:
    return Source(uri=uri, problem="expected a video of that name, found nothing there")


def describe_again(uri: str, listed: str | None = None) -> Source:
    """Return a source that was listed before, as it is now; `listed`: JSON of what was a span."""
    if listed is None:
        return next(_remote(uri), _gone(uri)) if "://" in uri else describe_file(Path(uri))
    before = Source.model_validate_json(listed)
    now = describe_again(before.file)
    names = ("size_bytes", "modified", *(() if before.reason == "overlap" else ("problem",)))
    return before.model_copy(update={name: getattr(now, name) for name in names})


def total_duration(sources: list[Source]) -> float:
    """Return the seconds of video that the headers declare, or lists of spans; nothing is
    decoded."""
    with ThreadPoolExecutor(8) as pool:
        return sum(pool.map(_duration, sources))


def _duration(source: Source) -> float:
    span = source.span
    if span and span.span_start_s is not None and span.span_end_s is not None:
        return 0.0 if source.problem else span.span_end_s - span.span_start_s
    if span:
        frames = (span.span_end_frame or 0) - (span.span_start_frame or 0)
        return 0.0 if source.problem else frames / USUAL_FPS
    try:
        with open_media(source.uri) as container:
            return float((container.duration or 0) / AV_TIME_BASE)
    except Rejection:
        return 0.0
