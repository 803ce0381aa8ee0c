"""Clips that show what another shows: found by their prints, the best of them kept.

Runs once after the waves, over everything. Clips that share two codes are compared
(`tasks/match_clips.py`); a code that many share links each clip to the next `NEXT` only, so
that the cost grows with the number of clips, not its square. Of clips that hang together,
the best is kept, and whatever shows the same as a kept one is its duplicate.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import duckdb
import numpy as np
from pydantic import Field
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from schemas.dataset import Dataset
from schemas.duplicate import Duplicate
from schemas.manifest import replace_table
from schemas.query import connect
from schemas.row import Model
from tasks.match_clips import Match, MatchRules, Series, is_copy, match
from tasks.prints import BANDS, PLACES
from tasks.training_clips import read_value
from tasks.whole import made_from

VERSION = 1
NEXT = 16
"""Clips of one code that a clip is compared with."""
AT_ONCE = 256
"""Rows read at once."""

CANDIDATES = """
WITH numbered AS (SELECT clip_id, codes, dense_rank() OVER (ORDER BY clip_id) AS clip FROM prints),
shared AS (SELECT DISTINCT clip, unnest(codes) AS code FROM numbered),
pairs AS (
    SELECT clip AS a, unnest([{leads}]) AS b FROM shared
    WINDOW same AS (PARTITION BY code ORDER BY clip)
)
SELECT a, b FROM pairs WHERE b IS NOT NULL GROUP BY a, b HAVING count(*) >= $least ORDER BY a, b
""".format(leads=", ".join(f"lead(clip, {n}) OVER same" for n in range(1, NEXT + 1)))
CLIPS = """
SELECT clip_id, status = 'kept' AS kept, coalesce(face_side_px, 0) AS face_side_px, frames,
       coalesce(det_score_mean, 0) AS score
FROM judged WHERE clip_id IN (SELECT clip_id FROM prints) ORDER BY clip_id
"""


class DuplicateConfig(Model):
    """What counts as a copy."""

    find: bool = True
    """Look for duplicates; false: every clip stays."""
    min_codes: int = Field(2, ge=1)
    """Codes that two clips must share to be compared."""
    rules: MatchRules = MatchRules()
    """What they must have in common then."""


def find_duplicates(dataset: Dataset, config: DuplicateConfig) -> bool:
    """Write the table `duplicates`; returns whether anything had to be done."""
    source = made_from(dataset, ("prints", "clips", "videos"), VERSION, config)
    return replace_table(dataset, Duplicate, source, lambda: list(_duplicates(dataset, config)))


def _duplicates(dataset: Dataset, config: DuplicateConfig) -> Iterator[Duplicate]:
    if not config.find:
        return
    connection = connect(dataset)
    clips = connection.sql(CLIPS).fetchall()
    pairs = connection.execute(CANDIDATES, {"least": config.min_codes}).fetchnumpy()
    first, second = (np.asarray(pairs[name], np.int64) - 1 for name in ("a", "b"))
    groups = groups_of(first, second, len(clips))
    wanted = {clips[i][0] for group in groups for i in group}
    with series_of(connection, wanted, dataset.scratch) as read:
        for group in groups:
            yield from judge_group(sorted((clips[i] for i in group), key=rank), read, config.rules)


def groups_of(first: np.ndarray, second: np.ndarray, count: int) -> list[np.ndarray]:
    """Return numbers of clips that hang together by pairs, the lonely left out."""
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
    parts = connected_components(graph, directed=False)[1]
    order = np.argsort(parts, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(parts[order])) + 1)
    return [group for group in groups if len(group) > 1]


def rank(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what sorts the best clip first: kept by the rules, a face larger by more than a
    tenth, longer, surer of the face; last its id, so that the order is always the same."""
    clip_id, kept, side, frames, score = row
    return (not kept, -round(np.log(max(side, 1)) / np.log(1.1)), -frames, -score, clip_id)


def judge_group(
    best_first: list[tuple[Any, ...]], read: Callable[[str], Series], rules: MatchRules
) -> Iterator[Duplicate]:
    """Yield the duplicates of a group: those that show the same as a better one."""
    kept: list[str] = []
    for clip_id, *_ in best_first:
        for better in kept:
            found = match(read(better), read(clip_id), rules)
            if is_copy(found, rules):
                yield _row(clip_id, better, found)
                break
        else:
            kept.append(clip_id)


@contextmanager
def series_of(
    connection: duckdb.DuckDBPyConnection, wanted: set[str], scratch: Path
) -> Iterator[Callable[[str], Series]]:
    """Give a function that reads the series of one of the clips `wanted`.

    The table is read once, into a file, so that no more than a few clips are in memory.
    """
    places: dict[str, tuple[int, int, int]] = {}
    with TemporaryFile(dir=scratch) as file:
        query = connection.sql("SELECT clip_id, picture, sound FROM prints")
        for batch in query.to_arrow_reader(AT_ONCE):
            for clip_id, *series in zip(*batch.columns, strict=True):
                if clip_id.as_py() in wanted:
                    picture, sound = (read_value(values).astype(np.int16) for values in series)
                    places[clip_id.as_py()] = file.tell(), picture.size, sound.size
                    file.write(picture.tobytes() + sound.tobytes())

        def read(clip_id: str) -> Series:
            start, picture, sound = places[clip_id]
            file.seek(start)
            values = np.frombuffer(file.read(2 * (picture + sound)), np.int16).astype(np.float32)
            heard = values[picture:].reshape(-1, BANDS) / 100
            return Series(values[:picture].reshape(-1, len(PLACES)), heard)

        yield read


def _row(clip_id: str, better: str, found: Match) -> Duplicate:
    return Duplicate(
        clip_id=clip_id,
        duplicate_of=better,
        sound=found.sound,
        picture=found.picture,
        look=found.look,
        mirrored=found.mirrored,
        speed=found.speed,
        shift_s=found.shift_s,
        overlap_s=found.overlap_s,
        note=in_words(better, found),
    )


def in_words(better: str, found: Match) -> str:
    """Return what was found in a sentence."""
    alike = [
        f"{name} {value:.2f}"
        for name, value in (("sound", found.sound), ("motion", found.picture))
        if value is not None
    ]
    how = [
        *(["mirrored"] if found.mirrored else []),
        *([f"at {found.speed:.3f} of its speed"] if found.speed != 1 else []),
        *([f"{found.shift_s:+.1f} s into it"] if found.shift_s else []),
    ]
    return (
        f"the same as {better} for {found.overlap_s:.1f} s ({', '.join(alike)})"
        f"{': ' + ', '.join(how) if how else ''}"
    )
