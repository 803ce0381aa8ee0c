"""A folder that an export fills: resumed where it was stopped, never over other people's files.

`export.json` names every file that belongs there, with a digest of what it is made from, and
is written before any of them. A file appears under its name only when it is complete. So what
is there under a digest that has not changed is done, and what is not named there is not ours.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from vexpress.files import PARTIAL, whole_file
from vexpress.hashes import blake2b
from vexpress.schemas.errors import DatasetError

PLAN = "export.json"


class ExportFolder:
    """One folder of one kind of export."""

    def __init__(self, folder: Path, kind: str) -> None:
        """Raises DatasetError when the folder holds something else than such an export."""
        self.path = folder.expanduser()
        self.kind = kind
        if self.path.exists() and not self.path.is_dir():
            raise DatasetError(f"{self.path}: expected a folder, found a file. Name a new folder.")
        self._planned = self._read_plan()
        self._there = set(_files_below(self.path)) - {PLAN}
        foreign = sorted(self._there - set(self._planned))
        if foreign:
            raise DatasetError(
                f"{self.path}: expected an empty folder or an export to {kind}, found "
                f"{', '.join(foreign[:3])}{' …' if len(foreign) > 3 else ''}. Name a new folder."
            )

    def plan(self, files: dict[str, str]) -> list[str]:
        """Say which files there will be, and a digest of what each is made from; returns the
        names of those that are not done. What an earlier export left and does not belong here
        any more is removed."""
        self.path.mkdir(parents=True, exist_ok=True)
        for left in self.path.rglob(f".*{PARTIAL}"):
            left.unlink()  # of an export that was killed
        for name in self._there:
            if files.get(name) != self._planned[name]:
                (self.path / name).unlink()
        self._planned = dict(files)
        head = {"export": self.kind, "files": self._planned}
        self.write_json(PLAN, head)
        return [name for name in files if not (self.path / name).exists()]

    def write(self, name: str, write: Callable[[Path], Any]) -> None:
        """Let `write` make a file under another name, then give it its own."""
        with whole_file(self.path / name, flush=True) as partial:
            write(partial)

    def write_json(self, name: str, value: Any) -> None:
        """Write `value` as JSON."""
        self.write_text(name, json.dumps(value, indent=1, ensure_ascii=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write `text` as UTF-8."""
        data = text.encode("utf-8", "surrogateescape")  # names of files may be any bytes
        self.write(name, lambda path: path.write_bytes(data))

    def _read_plan(self) -> dict[str, str]:
        try:
            head = json.loads((self.path / PLAN).read_text())
            if head["export"] == self.kind:
                return {str(name): str(digest) for name, digest in head["files"].items()}
            found = f"an export to {head['export']}"
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            found = f"{PLAN} that cannot be read ({error})"
        raise DatasetError(
            f"{self.path}: expected an export to {self.kind}, found {found}. Name a new folder."
        )


def _files_below(folder: Path) -> Iterator[str]:
    """Names of the files that are there, without our own unfinished ones."""
    for root, _, names in os.walk(folder):
        for name in names:
            if not name.endswith(PARTIAL):
                yield (Path(root) / name).relative_to(folder).as_posix()


def digest_of(*parts: object) -> str:
    """Return a digest of `parts`, which are plain values."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return blake2b(text.encode())
