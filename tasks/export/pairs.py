"""Give clips a portrait of the same person from another video: what reference-based models want.

The portrait is the middle frame of that person's sharpest other clip of the same split.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from vexpress.schemas.dataset import Dataset
from vexpress.tasks.export.media import png, read_frames

PAIRS = "pairs.jsonl"


@dataclass(frozen=True)
class Pair:
    """A clip's portrait."""

    name: str
    """File in the export."""
    of: dict[str, Any]
    """The clip it is taken from."""
    person: str


def find_pairs(rows: Sequence[dict[str, Any]]) -> dict[str, Pair]:
    """Return the portraits by clip id; a clip whose person is in no other video has none."""
    people: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        person = row["listed_person"] or row.get("person_id")
        if person:
            people[person, row["split"]].append(row)
    found = {}
    for (person, _), clips in people.items():
        best = sorted(clips, key=lambda c: (-(c["sharpness"] or 0), c["clip_id"]))
        for row in clips:
            other = next((c for c in best if c["content_hash"] != row["content_hash"]), None)
            if other:
                name = f"portraits/{other['clip_id']}.png"
                found[row["clip_id"]] = Pair(name, other, person)
    return found


def write_portrait(dataset: Dataset, pair: Pair, path: Path) -> None:
    """Write the middle frame of the portrait's clip."""
    with dataset.local_copy(pair.of["media_path"]) as video:
        middle = pair.of["frames"] // 2
        path.write_bytes(png(next(islice(read_frames(video), middle, None))))
