"""The README.md of an exported folder: what `datasets` must know, then what a person wants to."""

from typing import Any

import pyarrow as pa

from vexpress.schemas.clip import Clip
from vexpress.tasks.export.clips import Selection

OWN_COLUMNS = {
    "file_name": "The video: H.264 with sound, one face in a fixed square.",
    "sound_path": "16 kHz mono WAV, beside the video.",
    "points_path": "Points of every frame (.npz): kps, points, detected, landmarks, audio_embeds.",
    "licence": "Licence note of the source, as it was given when the source was read.",
    "person_id": "Who is seen, by clustering of face embeddings.",
    "split": "`train` or `validation`; no person is in both.",
}
"""Columns that are not those of the table `clips`, in words."""
HEAD = """---
license: other
configs:
- config_name: default
  data_files:
{patterns}
---

# Talking heads

Clips of one talking face each, cropped to a fixed square, with sound, V-Kps and scores.
{disjoint}

{splits}

```python
from datasets import load_dataset
clips = load_dataset("this/folder", split="train")
```

## Licences

Of the sources, as noted when they were read; `licences.json` names every source.

{licences}

Of the weights that made the annotations:

{weights}

## Columns

{columns}
"""
PATTERN = "  - split: {split}\n    path:\n    - {split}/metadata.parquet\n    - {split}/media/*.mp4"


def data_card(selection: Selection, tables: dict[str, pa.Table]) -> str:
    """Return the card of splits whose rows are in `tables`, by the files' names."""
    splits = {name.partition("/")[0]: table for name, table in tables.items()}
    counts = [(split, *_counted(table)) for split, table in splits.items()]
    columns = next(iter(splits.values())).column_names
    known = {name: field.description or "" for name, field in Clip.columns().items()}
    meanings = known | OWN_COLUMNS
    licences = selection.licences
    return HEAD.format(
        patterns="\n".join(PATTERN.format(split=split) for split in splits),
        disjoint=_disjoint(len(splits), selection),
        splits=_table(("split", "clips", "hours", "people"), counts),
        licences=_table(
            ("licence", "clips"), [(e["licence"], e["clips"]) for e in licences["licences"]]
        ),
        weights=_table(
            ("weights", "licence"), [(e["name"], e["licence"]) for e in licences["weights"]]
        ),
        columns=_table(("column", "meaning"), [(c, meanings.get(c, "")) for c in columns]),
    )


def _disjoint(splits: int, selection: Selection) -> str:
    if splits == 1:
        return "There is one split only."
    if selection.disjoint:
        return "No person is in two splits."
    return "Splits are those of the list; some persons are in two of them."


def _counted(table: pa.Table) -> tuple[int, str, int | str]:
    """Clips, hours, people."""
    frames, fps = table["frames"].to_numpy(), table["fps"].to_numpy()
    people = set(table["person_id"].to_pylist()) if "person_id" in table.column_names else set()
    return table.num_rows, f"{(frames / fps).sum() / 3600:.2f}", len(people - {None}) or "not known"


def _table(names: tuple[str, ...], rows: list[Any]) -> str:
    lines = [names, ("---",) * len(names), *rows]
    return "\n".join(f"| {' | '.join(_cell(str(value)) for value in line)} |" for line in lines)


def _cell(text: str) -> str:
    """Text of other people's in one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
