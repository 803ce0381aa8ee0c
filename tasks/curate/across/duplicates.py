"""Clips that show what another shows: found by their fingerprints, the best of them kept.

Runs once after the batches, over everything. Clips that share codes are compared
(`match_clips.py`): each with the `NEXT` that it shares most with, and a code that many
have links each clip to the next `NEXT` only, so that the cost grows with the number of clips,
not its square. Of clips that hang together by such matches, the best is kept, and whatever
shows the same as a kept one is its duplicate.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import duckdb
import numpy as np
from pydantic import Field

from vexpress.schemas.arrow import read_value
from vexpress.schemas.clip import Clip
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.duplicate import Duplicate
from vexpress.schemas.fingerprint import ClipFingerprint
from vexpress.schemas.manifest import replace_table
from vexpress.schemas.query import connect
from vexpress.schemas.row import Model
from vexpress.schemas.video import Video
from vexpress.tasks.curate.across.made_from import made_from
from vexpress.tasks.curate.across.match_clips import Match, MatchRules, Series, is_copy, match
from vexpress.tasks.curate.scores.fingerprints import BANDS, PLACES, RATE_HZ

VERSION = 3
NEXT = 16
"""Clips that one is compared with, of those that share a code."""
AT_ONCE = 256
"""Rows read at once."""
REMEMBERED = 1 << 16
"""Comparisons remembered, so that their memory does not grow with the number of clips."""
Copy = Callable[[int, int], Match | None]
"""Says how a better clip and another match, None where they do not."""

CANDIDATES = """
WITH numbered AS (
    SELECT clip_id, codes, dense_rank() OVER (ORDER BY clip_id) AS clip FROM fingerprints),
shared AS (SELECT DISTINCT clip, unnest(codes) AS code FROM numbered),
pairs AS (
    SELECT clip AS a, unnest([{leads}]) AS b FROM shared
    WINDOW same AS (PARTITION BY code ORDER BY clip)
),
counted AS (
    SELECT a, b, count(*) AS codes FROM pairs WHERE b IS NOT NULL
    GROUP BY a, b HAVING codes >= $least
),
enough AS (
    SELECT a, b, counted.codes FROM counted
    JOIN numbered one ON one.clip = a JOIN numbered other ON other.clip = b
    WHERE counted.codes >= $share * least(len(one.codes), len(other.codes))
)
SELECT a, b FROM enough
QUALIFY row_number() OVER (PARTITION BY a ORDER BY codes DESC, b) <= {most}
     OR row_number() OVER (PARTITION BY b ORDER BY codes DESC, a) <= {most}
ORDER BY a, b
""".format(leads=", ".join(f"lead(clip, {n}) OVER same" for n in range(1, NEXT + 1)), most=NEXT)
CLIPS = """
SELECT clip_id, status = 'kept' AS kept,
       coalesce(has_sound, true) AND coalesce(speech_share, 1) > 0 AS heard,
       coalesce(face_side_px, 0) AS face_side_px, frames, coalesce(speech_share, 0) AS speech,
       coalesce(det_score_mean, 0) AS score, coalesce(sync_repaired_frames, 0) AS repaired
FROM filtered WHERE clip_id IN (SELECT clip_id FROM fingerprints) ORDER BY clip_id
"""


class DuplicateConfig(Model):
    """What counts as a copy."""

    find: bool = True
    """Look for duplicates; false: every clip stays."""
    min_codes: int = Field(2, ge=1)
    """Codes that two clips must share to be compared."""
    min_code_share: float = Field(0.03, ge=0, le=1)
    """Least share of the shorter clip's codes that both must have: long clips share a few by
    chance, the more the more clips there are."""
    rules: MatchRules = MatchRules()
    """What they must have in common then."""


def find_duplicates(dataset: Dataset, config: DuplicateConfig) -> bool:
    """Write the table `duplicates`; returns whether anything had to be done."""
    source = made_from(dataset, (ClipFingerprint, Clip, Video), VERSION, config)
    return replace_table(dataset, Duplicate, source, lambda: list(_duplicates(dataset, config)))


def _duplicates(dataset: Dataset, config: DuplicateConfig) -> Iterator[Duplicate]:
    if not config.find:
        return
    connection = connect(dataset)
    clips = sorted(connection.sql(CLIPS).fetchall(), key=rank)
    best_first = [row[0] for row in clips]
    pairs = candidates(connection, best_first, config)
    repaired = {clips[i][0]: clips[i][-1] for i in np.unique(pairs)}
    with series_of(connection, repaired, dataset.scratch) as read:

        @lru_cache(REMEMBERED)
        def copy(better: int, other: int) -> Match | None:
            found = match(read(best_first[better]), read(best_first[other]), config.rules)
            return found if is_copy(found, config.rules) else None

        for group in groups_of(pairs, copy):
            for other, better, found in duplicates_in(group, copy):
                yield _row(best_first[other], best_first[better], found)


def candidates(
    connection: duckdb.DuckDBPyConnection, best_first: list[str], config: DuplicateConfig
) -> np.ndarray:
    """Return pairs to be compared, int (P, 2): places in `best_first`, the better's first."""
    asked = {"least": config.min_codes, "share": config.min_code_share}
    found = connection.execute(CANDIDATES, asked).fetchnumpy()
    numbers = np.stack([np.asarray(found[name], np.int64) - 1 for name in ("a", "b")], axis=1)
    places = np.sort(np.argsort(np.array(best_first, str))[numbers], axis=1)
    return places[np.lexsort(places.T[::-1])]


def groups_of(pairs: np.ndarray, copy: Copy) -> list[list[int]]:
    """Return what hangs together by pairs (P, 2) that are copies, the best of each group first.

    Nothing is compared that hangs together already.
    """
    from scipy.cluster.hierarchy import DisjointSet

    together = DisjointSet(np.unique(pairs).tolist())
    for better, other in pairs.tolist():
        if not together.connected(better, other) and copy(better, other):
            together.merge(better, other)
    return sorted(sorted(group) for group in together.subsets() if len(group) > 1)


def rank(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what sorts the best clip first: kept by the rules, not without speech, a face
    larger by more than a tenth, longer, its sound not repaired, more speech by a tenth, surer
    of the face; last its id, so that the order is always the same."""
    clip_id, kept, heard, side, frames, speech, score, repaired = row
    face, spoken = round(np.log(max(side, 1)) / np.log(1.1)), round(speech, 1)
    return (not kept, not heard, -face, -frames, repaired != 0, -spoken, -score, clip_id)


def duplicates_in(best_first: list[int], copy: Copy) -> Iterator[tuple[int, int, Match]]:
    """Yield the duplicates of a group: those that show the same as a better one, that one, how."""
    kept: list[int] = []
    for clip in best_first:
        matches = ((better, copy(better, clip)) for better in kept)
        better, found = next((m for m in matches if m[1]), (clip, None))
        if found:
            yield clip, better, found
        else:
            kept.append(clip)


@contextmanager
def series_of(
    connection: duckdb.DuckDBPyConnection, repaired: dict[str, float], scratch: Path
) -> Iterator[Callable[[str], Series]]:
    """Give a function that reads the series of a clip: its picture, and the sound that it has.

    Fingerprints are of the source's sound; `repaired` says by how many frames each clip's is cut
    later. The table is read once, into a file, so that no more than a few clips are in memory.
    """
    places: dict[str, tuple[int, int, int]] = {}
    with TemporaryFile(dir=scratch) as file:
        query = connection.sql("SELECT clip_id, picture, sound FROM fingerprints")
        for batch in query.to_arrow_reader(AT_ONCE):
            for clip_id, *series in zip(*batch.columns, strict=True):
                if clip_id.as_py() in repaired:
                    picture, sound = (read_value(values).astype(np.int16) for values in series)
                    places[clip_id.as_py()] = file.tell(), picture.size, sound.size
                    file.write(picture.tobytes() + sound.tobytes())

        def read(clip_id: str) -> Series:
            start, picture, sound = places[clip_id]
            file.seek(start)
            values = np.frombuffer(file.read(2 * (picture + sound)), np.int16).astype(np.float32)
            heard = values[picture:].reshape(-1, BANDS) / 100
            heard = cut_later(heard, repaired[clip_id])
            return Series(values[:picture].reshape(-1, len(PLACES)), heard)

        yield read


def cut_later(heard: np.ndarray, frames: float) -> np.ndarray:
    """Return levels (T, 12) of sound that is cut later by `frames` of 1/25 s; the outermost
    level stands for what was not read."""
    if not frames:
        return heard
    places = np.arange(len(heard)) + frames / 25 * RATE_HZ
    columns = [np.interp(places, range(len(heard)), column) for column in heard.T]
    return np.stack(columns, axis=1).astype(np.float32)


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
