"""Who is who across a data set: face vectors of tracks, grouped by average linkage.

Runs once after the waves, over everything. The groups depend on the set of clips alone, not
on their order. A person keeps an id that was given before, so that ids stay when clips are
added. Vectors of different back ends are never compared.

Cost: every track is compared with every other in blocks (exact; memory stays flat), then
groups are made inside what hangs together: benchmarks/README.md has the seconds.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from pydantic import Field
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from schemas.dataset import Dataset
from schemas.manifest import replace_table
from schemas.person import ClipPerson
from schemas.query import connect
from schemas.row import Model, content_id
from tasks.whole import made_from

VERSION = 1
BLOCK = 1024
"""Tracks compared with all others at once."""
LARGEST = 4096
"""Tracks that hang together beyond which near ones are merged before they are grouped."""
FACES = """
SELECT f.clip_id, coalesce(j.track_id, f.clip_id) AS track_id, f.backend, f.embedding
FROM faces f JOIN judged j USING (clip_id) ORDER BY f.backend, track_id, clip_id
"""


class PersonConfig(Model):
    """What counts as one person."""

    find: bool = True
    """Look for persons; false: clips of one source count as one person."""
    max_distance_dlib: float = Field(0.5, gt=0)
    """Mean distance of two groups of dlib vectors up to which they are one person (dlib.net:
    0.6 for two pictures; means of several lie closer)."""
    max_distance_arcface: float = Field(1.1, gt=0, lt=2)
    """The same for ArcFace vectors of length 1; 1.1 is a cosine of 0.4."""

    def limit(self, backend: str) -> float:
        """Return the limit for vectors of `backend`."""
        return self.max_distance_dlib if backend.startswith("dlib") else self.max_distance_arcface


def find_persons(dataset: Dataset, config: PersonConfig) -> bool:
    """Write the table `persons`; returns whether anything had to be done."""
    source = made_from(dataset, ("faces", "clips", "videos"), VERSION, config)
    return replace_table(dataset, ClipPerson, source, lambda: list(_persons(dataset, config)))


def _persons(dataset: Dataset, config: PersonConfig) -> Iterator[ClipPerson]:
    if not config.find:
        return
    connection = connect(dataset)
    table = connection.sql(FACES).to_arrow_table()
    known = dict(connection.sql("SELECT clip_id, person_id FROM persons").fetchall())
    backends = table["backend"].to_numpy(zero_copy_only=False)
    for backend in sorted(set(backends)):
        rows = table.filter(backends == backend)
        clips, tracks = rows["clip_id"].to_pylist(), rows["track_id"].to_pylist()
        vectors = np.stack(rows["embedding"].to_numpy(zero_copy_only=False)).astype(np.float32)
        names, number = np.unique(tracks, return_inverse=True)
        groups = group_vectors(means(vectors, number, len(names)), config.limit(backend))[number]
        centres = means(vectors, groups, groups.max() + 1)
        distances = np.linalg.norm(vectors - centres[groups], axis=1)
        ids = name_groups(clips, groups.tolist(), known)
        for clip_id, group, distance in zip(clips, groups.tolist(), distances, strict=True):
            yield ClipPerson(
                clip_id=clip_id, person_id=ids[group], distance=float(distance), backend=backend
            )


def means(vectors: np.ndarray, number: np.ndarray, count: int) -> np.ndarray:
    """Return the mean (count, size) of the vectors (N, size) of each number (N,)."""
    sums = np.zeros((count, vectors.shape[1]), np.float64)
    np.add.at(sums, number, vectors)
    return (sums / np.bincount(number, minlength=count)[:, None]).astype(np.float32)


def group_vectors(vectors: np.ndarray, limit: float) -> np.ndarray:
    """Return the group, int (N,), of each vector (N, size).

    Average linkage: groups are joined while the mean distance between them is at most
    `limit`. Such groups lie inside what hangs together by pairs up to `limit`, so that it is
    enough to look there; where more than `LARGEST` hang together, what hangs together by
    half the limit is merged first.
    """
    parts = hanging_together(vectors, limit)
    groups = np.zeros(len(vectors), np.int64)
    used = 0
    for part in range(parts.max() + 1):
        inside = np.flatnonzero(parts == part)
        cores = np.arange(len(inside))
        if len(inside) > LARGEST:
            cores = hanging_together(vectors[inside], limit / 2)
        centres = means(vectors[inside], cores, cores.max() + 1)
        found = np.ones(1, np.int64)
        if 1 < len(centres) <= LARGEST:
            found = fcluster(linkage(centres, "average"), limit, "distance")
        elif len(centres) > LARGEST:
            found = np.arange(len(centres)) + 1
        groups[inside] = used + found[cores] - 1
        used += found.max()
    return groups


def hanging_together(vectors: np.ndarray, limit: float) -> np.ndarray:
    """Return the part, int (N,), of each vector: chains of pairs not farther than `limit`."""
    count = len(vectors)
    squares = (vectors**2).sum(axis=1)
    leader = np.arange(count)  # of each vector's part: its first member
    for first in range(0, count, BLOCK):
        block = slice(first, first + BLOCK)
        apart = squares[block, None] + squares[None] - 2 * vectors[block] @ vectors.T
        rows, columns = np.nonzero(apart <= limit**2)
        ones = np.ones(len(rows) + count, bool)
        starts = np.concatenate([rows + first, np.arange(count)])
        ends = np.concatenate([columns, leader])
        graph = coo_array((ones, (starts, ends)), shape=(count, count))
        parts = connected_components(graph, directed=False)[1]
        leader = np.unique(parts, return_index=True)[1][parts]
    return np.unique(leader, return_inverse=True)[1]


def name_groups(clips: list[str], groups: list[int], known: dict[str, str]) -> dict[int, str]:
    """Return an id for each group.

    Of the ids that its clips had before (`known`), the one that most of them had, and no id
    twice; else a hash of its first clip.
    """
    shared = Counter((known[c], g) for c, g in zip(clips, groups, strict=True) if c in known)
    ids: dict[int, str] = {}
    taken: set[str] = set()
    for (person, group), _ in sorted(shared.items(), key=lambda item: (-item[1], item[0])):
        if group not in ids and person not in taken:
            ids[group] = person
            taken.add(person)
    for clip_id, group in sorted(zip(clips, groups, strict=True)):
        if group not in ids:
            person = content_id("person", clip_id)
            ids[group] = person if person not in taken else content_id("person", clip_id, "again")
            taken.add(ids[group])
    return ids
