"""What exports to other people's trainers share; each of them is one file in `trainers/`.

A trainer says what it needs of a clip, which files a clip becomes, and which lists name them. Here
are the rest: selection, splits, what is left out and why, resuming, licences, README.
"""

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import DatasetError
from vexpress.schemas.query import fetch_rows
from vexpress.tasks.export.boxes import Boxes
from vexpress.tasks.export.clips import (
    LICENCES,
    USUAL_TEXT,
    ClipPoints,
    Selection,
    clip_points,
    select_clips,
    splits_of,
)
from vexpress.tasks.export.folder import ExportFolder, digest_of
from vexpress.tasks.export.masks import FacePlaces
from vexpress.tasks.export.media import side_of
from vexpress.tasks.export.pairs import PAIRS, Pair, find_pairs, write_portrait

README = "README.md"
PLACE = "data/vexpress"
"""Where lists that cannot be relative take the export to lie, seen from the trainer's folder."""
USUAL_FPS = 25
LITTLE_SPEECH = 0.1
"""A clip with less is one without speech, share of its length."""
CARD = """# Talking heads for {title}

{about}

{counts}

```
{command}
```

{notes}

Licences of the sources, and of the weights that made points and scores: licences.json.
"""
Row = dict[str, Any]


@dataclass(frozen=True)
class Needs:
    """What a trainer asks of a clip."""

    frames: int
    """Least frames, at 25 frames a second."""
    short_are_left_out: bool = True
    """False where a shorter clip is used as far as it goes."""
    face_px: int = 0
    """Least longer side of the face's box that is advised, pixels of the clip."""
    sound: bool = True
    """Whether a clip without sound cannot be used."""
    landmarks: bool = False
    """Whether a clip without 68 or 106 landmarks cannot be used."""
    fps: float | None = None
    """The only frame rate that is read; None: any."""


class Material:
    """One clip, and where to take what is made from it."""

    def __init__(
        self, dataset: Dataset, row: Row, points: ClipPoints, boxes: Boxes, stack: ExitStack
    ) -> None:
        self.row = row
        self._dataset, self._points, self._boxes, self._stack = dataset, points, boxes, stack

    @cached_property
    def video(self) -> Path:
        """The clip: H.264 with sound."""
        return self._stack.enter_context(self._dataset.local_copy(self.row["media_path"]))

    @cached_property
    def sound(self) -> Path:
        """Its sound: 16 kHz mono WAV, as long as the picture."""
        return self._stack.enter_context(self._dataset.local_copy(self.row["audio_path"]))

    @cached_property
    def side(self) -> int:
        """Width and height of the clip, pixels."""
        return side_of(self.video)

    @cached_property
    def face_vector(self) -> list[float]:
        """The vector of the face."""
        query = "SELECT embedding FROM face_embeddings WHERE clip_id = $clip"
        ((vector,),) = fetch_rows(self._dataset, query, clip=self.row["clip_id"])
        return list(vector)

    @cached_property
    def places(self) -> FacePlaces:
        """Where the face is."""
        seen = self._boxes.of(self.row, self.side)
        boxes = None if seen is None else seen[0]
        return FacePlaces(self._points.points, self._points.landmarks, boxes)


class Trainer:
    """Base of the trainers."""

    KIND: ClassVar[str]
    """What `--to` calls it."""
    TITLE: ClassVar[str]
    ABOUT: ClassVar[str]
    """What is written, in a sentence or two."""
    COMMAND: ClassVar[str]
    """A command line of the trainer that reads it; `{place}` is the export."""
    NOTES: ClassVar[str] = ""
    NEEDS: ClassVar[Needs]

    def __init__(self, size: int | None = None) -> None:
        """`size`: side of pictures that are made anew, pixels, where it can be chosen."""
        self.size = size

    def files(self, row: Row) -> list[str]:
        """Return the names of the files that a clip becomes."""
        raise NotImplementedError

    def make(self, clip: Material, name: str, path: Path) -> None:
        """Write one of these files to `path`."""
        raise NotImplementedError

    def make_all(self, clip: Material, names: Sequence[str], target: ExportFolder) -> None:
        """Write those of a clip's files that are not done."""
        for name in names:
            target.write(name, partial(self.make, clip, name))

    def lists(self, rows: Sequence[Row]) -> dict[str, str]:
        """Return the lists that name the clips of both splits, by their names."""
        raise NotImplementedError


@dataclass(frozen=True)
class Exported:
    """An export that is done."""

    folder: Path
    said: list[str]
    """How many clips there are, and how many are of little or no use to this trainer."""
    command: str
    """A command line of the trainer."""


def export_for(
    trainer: Trainer,
    dataset: Dataset,
    folder: Path,
    where: str = "",
    *,
    text: str = USUAL_TEXT,
    validation_share: float = 0.1,
    pairs: bool = False,
) -> Exported:
    """Write the kept clips that satisfy `where` as `trainer` reads them.

    `text`: SQL expression over a clip's columns that describes it. `pairs`: give each clip a
    portrait of the same person from another video, where there is one. Goes on where it was
    stopped. Raises DatasetError where no clip can be used; else as `select_clips` and
    `ExportFolder` do.
    """
    target = ExportFolder(folder, trainer.KIND)
    selection = select_clips(dataset, where, validation_share, text)
    sides = Sides(dataset)
    every = [{**row, "side": sides.of(row)} for row in selection.rows()]
    reasons = [why_left_out(trainer.NEEDS, row) for row in every]
    usable = [row for row, reason in zip(every, reasons, strict=True) if reason is None]
    rows = split_anew(usable, validation_share)
    said = summary(trainer, every, reasons)
    if not rows:
        raise DatasetError(f"{dataset.root}: expected clips for {trainer.TITLE}; {said[0]}")
    found = find_pairs(rows) if pairs else {}
    lists = trainer.lists(rows) | ({PAIRS: pair_list(found, trainer, rows)} if pairs else {})
    lists[README] = card(trainer, said)
    licences = selection.of(rows).licences
    plan = planned(trainer, selection, rows, found)
    whole = {name: digest_of(content, list(plan.items())) for name, content in lists.items()}
    pending = set(target.plan({**plan, **whole, LICENCES: digest_of(licences)}))
    _write_clips(trainer, dataset, target, rows, pending)
    _write_portraits(dataset, target, found, pending)
    for name, content in lists.items():
        target.write_text(name, content)
    target.write_json(LICENCES, licences)
    return Exported(target.path, said, trainer.COMMAND.format(place=target.path))


def split_anew(rows: list[Row], share: float) -> list[Row]:
    """Return the clips split by themselves: what is left out may have been all of one split."""
    groups, listed = ([row[name] for row in rows] for name in ("who", "listed_split"))
    splits = splits_of(groups, listed, share)
    return [{**row, "split": split} for row, split in zip(rows, splits, strict=True)]


def planned(
    trainer: Trainer, selection: Selection, rows: list[Row], pairs: dict[str, Pair]
) -> dict[str, str]:
    """Return the files that clips become, each with a digest of what it is made from."""
    plan: dict[str, str] = {}
    for row in rows:
        stamp = digest_of(trainer.size, row["text"], selection.stamp(row))
        plan |= dict.fromkeys(trainer.files(row), stamp)
    return plan | {pair.name: digest_of(selection.contents(pair.of)) for pair in pairs.values()}


def _write_clips(
    trainer: Trainer, dataset: Dataset, target: ExportFolder, rows: list[Row], pending: set[str]
) -> None:
    boxes = Boxes(dataset)
    wanted = [row for row in rows if pending.intersection(trainer.files(row))]
    for row, points in clip_points(dataset, wanted):
        with ExitStack() as stack:
            names = [name for name in trainer.files(row) if name in pending]
            trainer.make_all(Material(dataset, row, points, boxes, stack), names, target)


def _write_portraits(
    dataset: Dataset, target: ExportFolder, pairs: dict[str, Pair], pending: set[str]
) -> None:
    for name, pair in {pair.name: pair for pair in pairs.values()}.items():
        if name in pending:
            target.write(name, partial(write_portrait, dataset, pair))


def why_left_out(needs: Needs, row: Row) -> str | None:
    """Return why a clip cannot be used, or None."""
    problems = {
        "without sound": needs.sound and not row["audio_path"],
        "without landmarks": needs.landmarks and not row["has_landmarks"],
        f"not of {needs.fps} frames a second": needs.fps not in (None, row["fps"]),
        "too short": needs.short_are_left_out and is_short(needs, row),
    }
    return next((words for words, is_so in problems.items() if is_so), None)


def is_short(needs: Needs, row: Row) -> bool:
    """Whether a clip is shorter than a trainer's window."""
    return bool(row["frames"] / row["fps"] * USUAL_FPS < needs.frames - 1e-6)


def summary(trainer: Trainer, rows: list[Row], reasons: list[str | None]) -> list[str]:
    """Return what is said of an export: what is left out, and what is of little use."""
    needs = trainer.NEEDS
    why = [f"{reasons.count(r)} {r}" for r in dict.fromkeys(reasons) if r is not None]
    kept = f"{reasons.count(None)} of {len(rows)} clips"
    faces = [(row["face_share"] or 0) * row["side"] for row in rows]
    poor = {
        f"shorter than {needs.frames} frames": sum(is_short(needs, row) for row in rows),
        f"with a face below {needs.face_px} px": sum(face < needs.face_px for face in faces),
        "without speech": sum((row["speech_share"] or 0) < LITTLE_SPEECH for row in rows),
    }
    if not needs.face_px:
        del poor["with a face below 0 px"]
    told = ", ".join(f"{count} {words}" for words, count in poor.items())
    return [
        f"{kept}; left out: {', '.join(why)}" if why else kept,
        f"for {trainer.TITLE}, of all {len(rows)}: {told}",
    ]


class Sides:
    """Sides of clips; those of a batch have one recipe."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._known: dict[str, int] = {}

    def of(self, row: Row) -> int:
        """Return the width and height of a clip, pixels."""
        if row["batch_id"] not in self._known:
            with self._dataset.local_copy(row["media_path"]) as path:
                self._known[row["batch_id"]] = side_of(path)
        return self._known[row["batch_id"]]


def pair_list(pairs: dict[str, Pair], trainer: Trainer, rows: list[Row]) -> str:
    """Return the list of pairs, a JSON object a line."""
    named = [(pairs[row["clip_id"]], row) for row in rows if row["clip_id"] in pairs]
    return "".join(
        json.dumps(
            {
                "clip_id": row["clip_id"],
                "split": row["split"],
                "files": trainer.files(row)[:1],
                "portrait": pair.name,
                "portrait_of": pair.of["clip_id"],
                "person": pair.person,
            }
        )
        + "\n"
        for pair, row in named
    )


def card(trainer: Trainer, said: list[str]) -> str:
    """Return the README; it says nothing of this machine."""
    return CARD.format(
        title=trainer.TITLE,
        about=trainer.ABOUT,
        counts="\n".join(f"- {line}" for line in said),
        command=trainer.COMMAND.format(place="THIS_FOLDER"),
        notes=trainer.NOTES,
    )


def of_split(rows: Sequence[Row], split: str) -> list[Row]:
    """Return the clips of one split."""
    return [row for row in rows if row["split"] == split]


def copier(source: Path) -> Callable[[Path], Any]:
    """Return what writes a copy of `source`."""
    return lambda path: shutil.copyfile(source, path)


def plain_text(row: Row) -> str:
    """Return the text of a clip in one line."""
    return " ".join((row["text"] or "").split())


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a list as CSV."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([columns, *rows])
    return file.getvalue()
