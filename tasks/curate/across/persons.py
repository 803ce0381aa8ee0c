"""Who is who across a data set: face vectors of tracks, grouped by average linkage.

Runs once after the batches, over everything. The groups depend on the set of clips alone, not
on their order. A person keeps an id that was given before, so that ids stay when clips are
added. Vectors of different back ends are never compared.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from pydantic import Field

from vexpress.schemas.clip import Clip
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.face_embedding import FaceEmbedding
from vexpress.schemas.manifest import replace_table
from vexpress.schemas.person import ClipPerson
from vexpress.schemas.query import connect
from vexpress.schemas.row import Model, content_id
from vexpress.schemas.video import Video
from vexpress.tasks.curate.across.clustering import group_vectors, means
from vexpress.tasks.curate.across.made_from import made_from

VERSION = 2
FACES = """
SELECT f.clip_id, coalesce(c.track_id, f.clip_id) AS track_id, f.backend, f.embedding
FROM face_embeddings f JOIN filtered c USING (clip_id) ORDER BY f.backend, track_id, clip_id
"""


class PersonConfig(Model):
    """What counts as one person."""

    find: bool = True
    """Look for persons; false: clips of one source count as one person."""
    max_distance_dlib: float = Field(0.5, gt=0)
    """Root mean square distance of two groups of dlib vectors up to which they are one person
    (dlib.net: 0.6 for two pictures; means of several lie closer)."""
    max_distance_arcface: float = Field(1.1, gt=0, lt=2)
    """The same for ArcFace vectors of length 1; 1.1 is a cosine of 0.4."""

    def limit(self, backend: str) -> float:
        """Return the limit for vectors of `backend`."""
        return self.max_distance_dlib if backend.startswith("dlib") else self.max_distance_arcface


def find_persons(dataset: Dataset, config: PersonConfig) -> bool:
    """Write the table `persons`; returns whether anything had to be done."""
    source = made_from(dataset, (FaceEmbedding, Clip, Video), VERSION, config)
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
