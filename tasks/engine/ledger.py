"""What is done: one SQLite file that a kill at any moment leaves whole.

`units` maps a step's key to its answers. `sources` says which sources are done with which
configuration, so that a finished data set is not planned again. `contents` says which
source a content was first seen at, `listed` what a list says of a span. One process writes; a
lock file keeps a second run out.
"""

import contextlib
import fcntl
import sqlite3
import time
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import DatasetError

TABLES = """
CREATE TABLE IF NOT EXISTS units (
    key TEXT PRIMARY KEY, step TEXT NOT NULL, failed INTEGER NOT NULL, answers BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS failed_units ON units (failed) WHERE failed = 1;
CREATE TABLE IF NOT EXISTS sources (
    uri TEXT PRIMARY KEY, stamp TEXT NOT NULL, failed INTEGER NOT NULL, content_hash TEXT);
CREATE INDEX IF NOT EXISTS source_contents ON sources (content_hash);
CREATE TABLE IF NOT EXISTS contents (content_hash TEXT PRIMARY KEY, uri TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS content_uris ON contents (uri);
CREATE TABLE IF NOT EXISTS listed (uri TEXT PRIMARY KEY, source TEXT NOT NULL);
"""
NAME = "ledger.sqlite"
FORMAT = 0
"""SQLite's `user_version` of a ledger; a higher one is of a newer version of this program."""
LOCK_PATIENCE_S = 15
"""A killed run's workers may hold the lock a little longer than the run."""


@dataclass
class Tally:
    """Units of one step in one run."""

    run: int = 0
    reused: int = 0
    seconds: float = 0.0
    """Seconds of work, all workers added up."""


@dataclass(frozen=True)
class DoneSource:
    """A source whose rows are committed."""

    uri: str
    stamp: str
    failed: bool
    content_hash: str | None
    """Its content; of a listed span, with what of it is listed."""
    listed: str | None = None
    """The whole source, JSON, where its name does not tell it: a span of a list."""


class LedgerLike(Protocol):
    """What a step needs of a ledger; it may live in another process."""

    def get(self, key: str, step: str) -> list[bytes] | None:
        """Return the answers kept under `key`, or None."""
        ...

    def begin(self, key: str) -> int:
        """Say that work on `key` begins; return how often it began and did not end."""
        ...

    def put(self, key: str, step: str, answers: list[bytes], failed: bool, seconds: float) -> None:
        """Keep the answers of a unit of work."""
        ...

    def spend(self, step: str, seconds: float) -> None:
        """Add `seconds` of work to a step's tally without a unit."""
        ...


class Ledger:
    """The ledger of one data set, open for one run."""

    def __init__(self, path: Path) -> None:
        """Raises DatasetError where another run has it open, or a newer version wrote it."""
        self._lock = lock_file(path.with_suffix(".lock"))
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        require_format(self._db, path)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(TABLES)
        self._begun: Counter[str] = Counter()
        self._tallies: dict[str, Tally] = {}

    def close(self) -> None:
        """Close the file and let the next run in."""
        with contextlib.suppress(sqlite3.OperationalError):  # the log stays, nothing is lost
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()
        self._lock.close()

    def copy_to(self, path: Path) -> None:
        """Write a whole copy to `path`, which must not exist."""
        self._db.execute("VACUUM INTO ?", (str(path),))

    def get(self, key: str, step: str) -> list[bytes] | None:
        """Return the answers kept under `key`, or None."""
        row = self._db.execute("SELECT answers FROM units WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        self._tallies.setdefault(step, Tally()).reused += 1
        return _unpack(row[0])

    def begin(self, key: str) -> int:
        """Say that work on `key` begins; return how often it began and did not end."""
        self._begun[key] += 1
        return self._begun[key]

    def put(self, key: str, step: str, answers: list[bytes], failed: bool, seconds: float) -> None:
        """Keep the answers of a unit of work."""
        tally = self._tallies.setdefault(step, Tally())
        tally.run += 1
        tally.seconds += seconds
        self._db.execute(
            "INSERT OR REPLACE INTO units VALUES (?, ?, ?, ?)", (key, step, failed, _pack(answers))
        )
        self._begun.pop(key, None)

    def spend(self, step: str, seconds: float) -> None:
        """Add `seconds` of work to a step's tally without a unit."""
        self._tallies.setdefault(step, Tally()).seconds += seconds

    def tallies(self) -> dict[str, Tally]:
        """Return what was done and what was found done since the ledger was opened, per step."""
        return self._tallies

    def is_done(self, uri: str, stamp: str) -> bool:
        """Return whether the source was committed with this stamp of content and settings."""
        row = self._db.execute("SELECT stamp FROM sources WHERE uri = ?", (uri,)).fetchone()
        return bool(row and row[0] == stamp)

    def mark_done(self, sources: list[DoneSource]) -> None:
        """Note committed sources and which of them first had their content.

        Where a source has other content than before, sources that were its copies are not
        done any more: one of them is first now.
        """
        with self._transaction():
            for done in sources:
                self._release(done)
                self._db.execute(
                    "INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?)",
                    (done.uri, done.stamp, done.failed, done.content_hash),
                )
                if done.listed:
                    self._db.execute(
                        "INSERT OR REPLACE INTO listed VALUES (?, ?)", (done.uri, done.listed)
                    )
                if done.content_hash:
                    self._db.execute(
                        "INSERT OR IGNORE INTO contents VALUES (?, ?)",
                        (done.content_hash, done.uri),
                    )

    def _release(self, done: DoneSource) -> None:
        old = "SELECT content_hash FROM contents WHERE uri = ? AND content_hash IS NOT ?"
        for (content,) in self._db.execute(old, (done.uri, done.content_hash)).fetchall():
            self._db.execute("DELETE FROM contents WHERE content_hash = ?", (content,))
            self._db.execute(
                "UPDATE sources SET stamp = '' WHERE content_hash = ? AND uri != ?",
                (content, done.uri),
            )

    def first_sources(self, content_hashes: list[str]) -> dict[str, str]:
        """Return for each content that is known the source it was first committed from."""
        query = "SELECT uri FROM contents WHERE content_hash = ?"
        found = {h: self._db.execute(query, (h,)).fetchone() for h in content_hashes}
        return {content: row[0] for content, row in found.items() if row}

    def with_spans(self, content_hashes: list[str]) -> set[str]:
        """Return the contents of which listed spans were committed."""
        query = "SELECT 1 FROM contents WHERE content_hash > ? AND content_hash < ? LIMIT 1"
        known = {h: self._db.execute(query, (f"{h} ", f"{h}!")).fetchone() for h in content_hashes}
        return {content for content, row in known.items() if row}

    def listed(self, uris: list[str]) -> dict[str, str]:
        """Return the sources that are spans of a list, JSON, by their names."""
        query = "SELECT source FROM listed WHERE uri = ?"
        found = {uri: self._db.execute(query, (uri,)).fetchone() for uri in uris}
        return {uri: row[0] for uri, row in found.items() if row}

    def forget_failures(self) -> list[str]:
        """Drop the answers of units that failed; return the sources to run again."""
        with self._transaction():
            self._db.execute("DELETE FROM units WHERE failed = 1")
            self._db.execute("UPDATE sources SET stamp = '' WHERE failed = 1")
        rows = self._db.execute("SELECT uri FROM sources WHERE failed = 1 ORDER BY uri")
        return [row[0] for row in rows]

    def reopen(self, uris: list[str]) -> bool:
        """Let sources count as not done; return whether any counted as done."""
        with self._transaction():
            query = "UPDATE sources SET stamp = '' WHERE uri = ? AND stamp <> ''"
            return sum(self._db.execute(query, (uri,)).rowcount for uri in uris) > 0

    def _transaction(self) -> sqlite3.Connection:
        self._db.execute("BEGIN")
        return self._db


def require_format(database: sqlite3.Connection, path: Path) -> None:
    """Raise DatasetError for a ledger that a newer version of this program wrote."""
    (found,) = database.execute("PRAGMA user_version").fetchone()
    if found > FORMAT:
        raise DatasetError(
            f"{path}: expected a ledger of format {FORMAT}, found {found}. A newer version of "
            "this program wrote it: use that one."
        )


def fetch_ledger(dataset: Dataset) -> None:
    """Bring the ledger of a remote data set here, unless the one here is newer."""
    if dataset.is_local or not dataset.exists(NAME):
        return
    here, there = dataset.ledger_path, dataset.path(NAME)
    modified = dataset.fs.modified(there).timestamp()
    if not here.exists() or here.stat().st_mtime < modified:
        for leftover in here.parent.glob(f"{NAME}-*"):
            leftover.unlink()
        dataset.fs.get_file(there, str(here))


def keep_ledger(dataset: Dataset, ledger: Any) -> None:
    """Leave a copy of the ledger with a remote data set, for the next machine."""
    if not dataset.is_local:
        copy = dataset.scratch / NAME
        copy.unlink(missing_ok=True)
        ledger.copy_to(copy)
        dataset.publish(copy, NAME)


def lock_file(path: Path) -> IO[str]:
    """Return the file, locked until it is closed; raise DatasetError where another run has it."""
    file = path.open("w")
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if time.monotonic() < deadline:
                time.sleep(0.2)
                continue
            file.close()
            raise DatasetError(
                f"{path.parent}: another run is writing to this data set. Wait for it or stop it."
            ) from error
        return file


def _pack(answers: list[bytes]) -> bytes:
    lengths = ",".join(str(len(a)) for a in answers)
    return zlib.compress(f"{lengths}\n".encode() + b"".join(answers), level=1)


def _unpack(data: bytes) -> list[bytes]:
    head, _, body = zlib.decompress(data).partition(b"\n")
    answers, start = [], 0
    for length in map(int, filter(None, head.split(b","))):
        answers.append(body[start : start + length])
        start += length
    return answers
