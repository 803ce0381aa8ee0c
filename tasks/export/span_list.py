"""Write a data set as a list: which spans of which videos it is, without their pictures and sound.

    list.jsonl  curate.yaml  licences.json  README.md

A line is a clip: path of the video (from the folder on that all videos share), start and end in
seconds and frames, the square, the clip's id, person, split, caption, licence, and every score.
Who has the same videos, wherever they lie, gives the list to `vexpress curate` and gets the same
clip ids.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import run_query
from vexpress.schemas.span import file_of
from vexpress.tasks.export.clips import LICENCES, Selection, described, select_clips
from vexpress.tasks.export.folder import ExportFolder, digest_of

KIND = "list"
LIST, README = "list.jsonl", "README.md"
FIRST = (
    *("path", "start_s", "end_s", "start_frame", "end_frame"),
    *("crop_x1", "crop_y1", "crop_x2", "crop_y2", "clip_id", "content_hash"),
    *("person", "language", "split", "caption", "licence"),
)
LEFT_OUT = {
    *("source", "video_id", "track_id", "scene_index", "faces", "has_sound", "audio_hash"),
    *("person_id", "listed_person", "listed_language", "listed_split", "listed_row"),
    "listed_clip_id",
}
"""Columns that say nothing elsewhere, or stand in the list under another name."""
CARD = """# {clips} clips, {hours:.2f} hours, of {videos} videos, without the videos

```
vexpress curate list.jsonl dataset/ --root folder-of-the-videos/ --config curate.yaml
```

gives the same clips with the same ids (`listed_clip_id` beside `clip_id`) where the videos are the
same files, byte for byte; `content_hash` is BLAKE2b-256 of each. `curate.yaml` has the recipe that
goes into the ids, and the thresholds.

Columns: docs/data-set.md of vexpress, table `clips`. Licences: licences.json.
"""


def export_span_list(dataset: Dataset, folder: Path, where: str = "") -> Path:
    """Write the list of the kept clips that satisfy `where`; returns its path.

    Raises as `select_clips` and `ExportFolder` do.
    """
    target = ExportFolder(folder, KIND)
    selection = select_clips(dataset, where)
    rows = [line(row, len(selection.splits) > 1) for row in selection.rows()]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    card = CARD.format(**counted(selection))
    settings = last_settings(dataset)
    texts = {LIST: text, README: card, "curate.yaml": settings}
    target.plan({name: digest_of(made) for name, made in (*texts.items(), (LICENCES, rows))})
    target.write_json(LICENCES, selection.licences)
    for name, made in texts.items():
        target.write_text(name, made)
    return target.path / LIST


def line(row: dict[str, Any], is_split: bool) -> dict[str, Any]:
    """Return what the list says of a clip; nothing is said that is not known."""
    said = described(row) | {
        "path": file_of(row["source"]),
        "content_hash": row["content_hash"],
        "person": row["listed_person"] or row.get("person_id"),
        "language": row["listed_language"] or row["language"],
        "split": row["split"] if is_split else None,
    }
    others = [name for name in said if name not in FIRST and name not in LEFT_OUT]
    return {name: said[name] for name in (*FIRST, *others) if said[name] is not None}


def counted(selection: Selection) -> dict[str, Any]:
    """Return how many clips, hours and videos there are."""
    clips = selection.clips
    hours = sum(r["frames"] / r["fps"] for r in selection.rows()) / 3600
    videos = len(set(clips["content_hash"].to_pylist()))
    return {"clips": clips.num_rows, "hours": hours, "videos": videos}


def last_settings(dataset: Dataset) -> str:
    """Return what of the last curation's settings decides about ids and clips, as YAML."""
    query = "SELECT config FROM runs WHERE kind = 'curate' ORDER BY started_at DESC LIMIT 1"
    found = run_query(dataset, query).fetchall()
    settings = json.loads(found[0][0]) if found else {}
    groups = {name: settings[name] for name in ("crop", "keep") if name in settings}
    return yaml.safe_dump(groups, sort_keys=False)
