"""How many copies are found, how many clips are called copies wrongly, and what looking costs.

    python -m benchmarks.duplicates found ASSETS --weights DIR --model scrfd_2.5g
    python -m benchmarks.duplicates cost --clips 1000 10000 100000

`found`: 40 copies of five talking heads, eight kinds of each, are curated together with every
video of ASSETS (`videos/`, `vexpress_samples/*/gt.mp4`). Baseline: what comparing the
SHA-256 of the files finds. Pairs of different videos are printed, to be looked at.
`cost`: made-up fingerprints of ten seconds each, one in ten a copy; seconds of `duplicates`, and of
`persons` on made-up vectors of a person each hundred clips, against those of the fewest clips.
"""

import argparse
import hashlib
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers.made_up_fingerprints import again, clip_fingerprint, talk
from tests.helpers.video_copies import COPIES, read_film, write_film
from tests.schemas import rows
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.face_embedding import FaceEmbedding
from vexpress.schemas.manifest import commit_batch, prepare_manifests
from vexpress.schemas.query import run_query
from vexpress.tasks.curate.across.duplicates import DuplicateConfig, find_duplicates
from vexpress.tasks.curate.across.persons import PersonConfig, find_persons
from vexpress.tasks.curate.chain import (
    curate_batch,
    fingerprint,
    plan_batches,
    resolve,
    used_weights,
)
from vexpress.tasks.curate.config import load_config
from vexpress.tasks.engine.engine import open_engine
from vexpress.tasks.engine.step import Context
from vexpress.tasks.media.source import describe_file

BASES = {
    "sample3": "vexpress_samples/3/gt.mp4",
    "sample7": "vexpress_samples/7/gt.mp4",
    "joker": "vexpress_samples/talk_jocker/gt.mp4",
    "demo2": "videos/demo2_video.mp4",
    "wda": "videos/WDA_AlexandriaOcasioCortez_000.mp4",
}
BATCH = 1000
PAIRS = """
SELECT a.source, b.source, a.start_s, b.start_s, a.end_s, d.note
FROM duplicates d JOIN filtered a USING (clip_id) JOIN filtered b ON b.clip_id = d.duplicate_of
ORDER BY ALL
"""


def found(assets: Path, weights: Path, model: str, seconds: float) -> None:
    """Print how many copies were found, and every pair of different videos."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bases = {key: assets / path for key, path in BASES.items()}
        copies = {}
        for key, path in bases.items():
            film = read_film(path, seconds, 960)
            for kind, change in COPIES.items():
                copies[str(folder / f"{key} {kind}.mp4")] = str(path)
                write_film(change(film), folder / f"{key} {kind}.mp4")
        others = [*assets.glob("videos/*.mp4"), *assets.glob("vexpress_samples/*/gt.mp4")]
        videos = [*sorted(others), *map(Path, copies)]
        dataset = curated(videos, folder / "set", weights, model)
        start = time.perf_counter()
        find_duplicates(dataset, DuplicateConfig())
        print(f"looking took {time.perf_counter() - start:.1f} s")
        report(dataset, copies)
        print(f"baseline, SHA-256 of the files: {len(same_bytes(videos))} pairs")


def curated(videos: list[Path], folder: Path, weights: Path, model: str) -> Dataset:
    """Curate the videos as the command does, without the flow around it."""
    settings = [f"faces.model={model}", "identity.backend=none", "speech.backend=none"]
    config, _ = resolve(load_config("permissive", None, settings), weights)
    dataset = Dataset(folder)
    dataset.create()
    prepare_manifests(dataset)
    engine = open_engine(config.engine, Context(dataset, weights))
    mark = fingerprint(config, used_weights(config))
    sources = [describe_file(video) for video in videos]
    for batch in plan_batches(sources, engine, config, mark):
        curate_batch(batch, dataset, engine, config, mark, lambda row: None)
    engine.close()
    return dataset


def report(dataset: Dataset, copies: dict[str, str]) -> None:
    """Print recall over clips of copies, and the pairs of different videos."""
    base = lambda source: copies.get(source, source)  # noqa: E731
    pairs = run_query(dataset, PAIRS).fetchall()
    linked = {source for a, b, *_ in pairs if base(a) == base(b) for source in (a, b)}
    missed = sorted(Path(source).stem for source in copies if source not in linked)
    print(f"{len(copies) - len(missed)} of {len(copies)} copies found; missed: {missed}")
    print("pairs of different videos:")
    for a, b, start, other, end, note in pairs:
        if base(a) != base(b):
            print(f"  {Path(a).name} {start:.1f}-{end:.1f} = {Path(b).name} {other:.1f}: {note}")


def same_bytes(videos: list[Path]) -> list[Path]:
    """Videos whose bytes an earlier one has."""
    seen: set[str] = set()
    digests = [hashlib.sha256(video.read_bytes()).hexdigest() for video in videos]
    return [v for v, d in zip(videos, digests, strict=True) if d in seen or seen.add(d)]


def cost(counts: list[int]) -> None:
    """Print seconds for each number of clips, and how they grow."""
    first: dict[str, float] = {}
    print("clips    duplicates s  found  x      persons s  found  x")
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            dataset = made_up(Path(name), count)
            line = f"{count:8}"
            for table, find, config in (
                ("duplicates", find_duplicates, DuplicateConfig()),
                ("persons", find_persons, PersonConfig()),
            ):
                start = time.perf_counter()
                find(dataset, config)  # type: ignore[operator]
                seconds = time.perf_counter() - start
                column = "clip_id" if table == "duplicates" else "DISTINCT person_id"
                (n,) = run_query(dataset, f"SELECT count({column}) FROM {table}").fetchall()[0]
                ratio = seconds / first.setdefault(table, seconds)
                line += f"  {seconds:10.1f}  {n:6}  {ratio:5.1f}"
            print(line, flush=True)


def made_up(folder: Path, count: int) -> Dataset:
    """A data set of fingerprints and face embeddings alone."""
    dataset = Dataset(folder / "set")
    dataset.create()
    prepare_manifests(dataset)
    random = np.random.default_rng(0)
    people = random.normal(0, 1 / np.sqrt(128), (count // 100, 128))
    for first in range(0, count, BATCH):
        batch = f"w{first:08}"
        made: list[Any] = [rows.video("v", batch, source=f"/{batch}")]
        for number in range(first, min(first + BATCH, count)):
            series = talk(number, 125)
            if number % 10 == 9:
                series = again(talk(number - 9, 125), number, cut=7)
            clip_id = f"c{number:08}"
            vector = people[number % len(people)] + random.normal(0, 0.015, 128)
            print_ = clip_fingerprint(clip_id, series, batch).model_copy(update={"video_id": "v"})
            ids = {"clip_id": clip_id, "video_id": "v", "batch_id": batch}
            made += [rows.clip(clip_id, batch), print_]
            made.append(
                FaceEmbedding(**ids, backend="dlib/made-up", frames=[0], spread=0, embedding=vector)
            )
        commit_batch(dataset, batch, [m.model_copy(update={"video_id": batch}) for m in made])
    return dataset


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    first = kinds.add_parser("found")
    first.add_argument("assets", type=Path)
    first.add_argument("--weights", type=Path, required=True)
    first.add_argument("--model", default="scrfd_2.5g")
    first.add_argument("--seconds", type=float, default=8.0)
    second = kinds.add_parser("cost")
    second.add_argument("--clips", type=int, nargs="+", default=[1000, 10000])
    given = parser.parse_args()
    if given.kind == "found":
        found(given.assets, given.weights, given.model, given.seconds)
    else:
        cost(given.clips)
