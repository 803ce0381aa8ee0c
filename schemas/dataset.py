"""A data set: one folder, on local disk or on storage that speaks S3.

Everything in it is named by a path relative to its root; a name that leads out of it, also by a
link, is refused: somebody else may have written the tables and laid the links. A file appears
under its name only when it is complete: it is written under another name first, then renamed
(local) or uploaded in one request (S3).
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from vexpress.files import READABLE, flush_to_disk
from vexpress.schemas.errors import DatasetError
from vexpress.schemas.row import content_id

MARKER = "dataset.json"
LAYOUT_VERSION = 1
MARKER_BYTES = 4096
"""Most bytes read of the marker."""


class Dataset:
    """A data set at `root`, a local path or a URI such as `s3://bucket/prefix`."""

    def __init__(self, root: str | Path, writer: str = "") -> None:
        """`writer`: kind of run that writes beside others and has a scratch folder of its own."""
        self._writer = writer
        self.root = str(root) if "://" in str(root) else str(Path(root).expanduser().resolve())
        self.fs, self._base = fsspec.core.url_to_fs(self.root)
        self.is_local = isinstance(self.fs, fsspec.implementations.local.LocalFileSystem)
        self._real_base = os.path.realpath(self._base) if self.is_local else self._base

    @property
    def scratch(self) -> Path:
        """A local folder for unfinished files; on the same disk as a local data set."""
        folder = Path(self.root) / ".tmp" if self.is_local else self._cache / "tmp"
        folder /= self._writer
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def clear_scratch(self) -> None:
        """Remove what a killed run left unfinished; only for the one run that writes."""
        for path in self.scratch.iterdir():
            if not path.is_dir():  # of another writer
                path.unlink(missing_ok=True)

    @property
    def ledger_path(self) -> Path:
        """Where the ledger lives on this machine."""
        folder = Path(self.root) if self.is_local else self._cache
        folder.mkdir(parents=True, exist_ok=True)
        return folder / "ledger.sqlite"

    @property
    def _cache(self) -> Path:
        home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
        return home / "vexpress" / content_id(self.root)

    def path(self, name: str) -> str:
        """Return the full path or URI of `name`, for the data set's file system.

        Raises DatasetError where `name` leads out of the data set.
        """
        self._require_inside(name)
        return f"{self._base}/{name}"

    def uri(self, name: str) -> str:
        """Return the full path (local) or URI (remote) of `name`; raises as `path` does."""
        self._require_inside(name)
        return f"{self.root}/{name}"

    def _require_inside(self, name: str) -> None:
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
            raise DatasetError(f"{self.root}: expected a path inside the data set, found {name!r}")
        if self.is_local and os.path.realpath(f"{self._base}/{name}") != self._real(name):
            raise DatasetError(
                f"{self.root}: expected a file of the data set at {name!r}, found a link. Nothing "
                "outside a data set is read; put the file itself there."
            )

    def _real(self, name: str) -> str:
        """Where `name` is when no part of it below the root is a link."""
        return os.path.normpath(f"{self._real_base}/{name}")

    def exists(self, name: str) -> bool:
        """Return whether `name` is there."""
        return bool(self.fs.exists(self.path(name)))

    def create(self) -> None:
        """Make the folder, unless it is a data set already.

        Raises DatasetError when the folder holds something else.
        """
        if self._is_one():
            self._require_layout()
            return
        if self.is_local and _holds_foreign_files(Path(self.root)):
            raise DatasetError(
                f"{self.root}: expected a data set or an empty folder, found other files. "
                "Name a new folder."
            )
        self.write(MARKER, b'{"layout_version": %d}\n' % LAYOUT_VERSION)

    def require(self) -> None:
        """Raise DatasetError unless a data set is here that this version can read."""
        if not self._is_one():
            raise DatasetError(
                f"{self.root}: expected a data set ({MARKER} inside), found none. "
                "Make one with: vexpress curate SOURCE DATASET"
            )
        self._require_layout()

    def _require_layout(self) -> None:
        with self.fs.open(self.path(MARKER), "rb") as file:
            text = file.read(MARKER_BYTES)
        try:
            found = json.loads(text)["layout_version"]
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{self.root}: {MARKER} is damaged: {error!r}") from error
        if found not in range(1, LAYOUT_VERSION + 1):
            raise DatasetError(
                f"{self.root}: expected a data set of layout {LAYOUT_VERSION} or older, found "
                f"{found!r}. A newer version of this program made it: use that one."
            )

    def _is_one(self) -> bool:
        from botocore.exceptions import BotoCoreError

        try:
            return self.exists(MARKER)
        except (OSError, BotoCoreError) as error:
            raise DatasetError(
                f"{self.root}: expected storage that can be reached: {error}. "
                "Check its name, AWS_ENDPOINT_URL and the credentials in the environment."
            ) from error

    def read(self, name: str) -> bytes:
        """Return the bytes of `name`."""
        return bytes(self.fs.cat_file(self.path(name)))

    def write(self, name: str, data: bytes) -> None:
        """Write `data` under `name`, at once."""
        descriptor, temporary = tempfile.mkstemp(dir=self.scratch)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            self.publish(Path(temporary), name)
        finally:
            Path(temporary).unlink(missing_ok=True)

    def publish(self, finished: Path, name: str) -> None:
        """Give the finished local file its `name`; `finished` is gone afterwards."""
        if not self.is_local:
            self.fs.put_file(str(finished), self.path(name))
            finished.unlink()
            return
        flush_to_disk(finished)
        target = Path(self.path(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        finished.chmod(READABLE)
        finished.replace(target)

    def fetch(self, name: str, folder: Path | None = None) -> Path:
        """Return a local path of `name`; a remote file is copied into `folder`, or into the
        scratch folder, where it stays until a run that writes begins."""
        if self.is_local:
            return Path(self.path(name))
        target = (folder or self.scratch) / content_id(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.fs.get_file(self.path(name), str(target))
        return target

    def modified(self, name: str) -> float:
        """Return when `name` was written last, or anything in it where it is a folder.

        Seconds since the epoch by the storage's clock; 0 where nothing is there.
        """
        times = [
            info["mtime"] if "mtime" in info else info["LastModified"].timestamp()
            for info in self.fs.find(self.path(name), detail=True).values()
        ]
        return float(max(times, default=0.0))

    @contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        """Give a local path of `name`; the copy of a remote file is gone afterwards."""
        path = self.fetch(name)
        try:
            yield path
        finally:
            if not self.is_local:
                path.unlink(missing_ok=True)

    def names(self, pattern: str) -> list[str]:
        """Return the names that match a glob `pattern`, sorted."""
        skip = len(self._base) + 1
        if self.is_local:
            return sorted(
                p.relative_to(self.root).as_posix() for p in Path(self.root).glob(pattern)
            )
        return sorted(path[skip:] for path in self.fs.glob(self.path(pattern)))

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "writer": self._writer}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


def _holds_foreign_files(folder: Path) -> bool:
    if folder.exists() and not folder.is_dir():
        return True
    known = {".tmp", "ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.lock"}
    return folder.exists() and any(entry.name not in known for entry in folder.iterdir())
