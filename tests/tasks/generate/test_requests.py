"""Tables of requests: what is wrong with them is said at once, what they may read is bounded."""

import json
import os
import pickle
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from tests.helpers.small_clips import write_video
from tests.helpers.small_requests import write_kps, write_sound, write_table
from vexpress.errors import PointsError, RunError
from vexpress.faces.kps_file import read_kps
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import ConfigError
from vexpress.schemas.manifest import prepare_manifests
from vexpress.schemas.request import AskedVideo
from vexpress.tasks.generate.config import GenerateConfig, Limits, Parameters
from vexpress.tasks.generate.order import cost, in_runs, in_shards
from vexpress.tasks.generate.requests import PlannedVideo, RequestPlan, plan_requests
from vexpress.tasks.generate.weights import UsedWeights

WEIGHTS = UsedWeights(name="w", sha256="1" * 64, licence="none", files=[], faces="dlib")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """An empty data set."""
    made = Dataset(tmp_path / "set")
    made.create()
    prepare_manifests(made)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Inputs that look right: two pictures, two sounds, points."""
    folder = tmp_path / "inputs"
    folder.mkdir()
    for name, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (64, 64), colour).save(folder / f"{name}.png")
    write_sound(folder / "s.wav", 0.5)
    write_sound(folder / "t.wav", 1.0)
    write_kps(folder / "k.pth")
    return folder


@pytest.fixture
def plan(dataset: Dataset, folder: Path) -> Callable[..., RequestPlan]:
    """RequestPlan rows of a CSV in `folder`, or a table that is there."""

    def make(
        rows: list[dict[str, Any]] | Path,
        weights: UsedWeights = WEIGHTS,
        **settings: Any,
    ) -> RequestPlan:
        table = write_table(folder / "r.csv", rows) if isinstance(rows, list) else rows
        return plan_requests(str(table), dataset, GenerateConfig(**settings), weights, "run")

    return make


def good(**changes: Any) -> dict[str, Any]:
    return {"reference": "a.png", "audio": "s.wav", **changes}


def refused(plan: Callable[..., RequestPlan], rows: list[dict[str, Any]] | Path) -> str:
    """Everything the error says."""
    with pytest.raises(ConfigError) as caught:
        plan(rows)
    return str(caught.value)


def test_all_that_is_wrong_with_a_table_is_said_at_once(plan: Callable[..., RequestPlan]) -> None:
    said = refused(
        plan,
        [
            good(steps=5),
            good(steps="many"),
            good(width=70),
            {"reference": "a.png"},
            good(kps="k.pth", video="v.mp4"),
            good(retarget="naive_retarget"),
            good(retarget="nearly"),
            good(window=3, overlap=9),
            good(guidance="nan"),
        ],
    )
    lines = said.splitlines()
    assert "nothing was started" in lines[0] and "r.csv" in lines[0]
    expected = [
        "row 2, steps: expected a valid integer, unable to parse string as an integer, "
        "found 'many'",
        "row 3, width: expected a multiple of 8, found 70",
        "row 4, audio: expected a path, or a clip_id, found neither",
        "row 5, video: expected one of kps, video, clip_id, found kps and video",
        "row 6, retarget: naive_retarget needs kps, video or clip_id, found none of them",
        "row 7, strategy: expected 'fix_face'",
        "row 8, window, overlap: windows of 3 frames with 9 overlapping",
        "row 9, guidance: expected a finite number",
    ]
    for line, start in zip(lines[1:], expected, strict=True):
        assert line.strip().startswith(start)


def test_an_unknown_column_is_refused_with_those_that_are_known(
    plan: Callable[..., RequestPlan],
) -> None:
    said = refused(plan, [good(stpes=5)])
    assert "'stpes': no such column" in said and "steps" in said and "retarget" in said


def test_the_same_rows_as_csv_parquet_and_json_lines_give_the_same_ids(
    plan: Callable[..., RequestPlan], folder: Path
) -> None:
    rows = [good(steps=5, median=False), good(audio="t.wav", kps="k.pth", fps=12.5)]
    columns = {name: [row.get(name) for row in rows] for name in rows[0] | rows[1]}
    pq.write_table(pa.table(columns), folder / "r.parquet")
    lines = "\n".join(json.dumps(row) for row in rows)
    (folder / "r.jsonl").write_text(f"{lines}\n\n")
    ids = [
        [planned.request_id for planned in plan(table).videos]
        for table in (rows, folder / "r.parquet", folder / "r.jsonl")
    ]
    assert len(set(ids[0])) == 2 and ids[0] == ids[1] == ids[2]
    driven = plan(rows).videos[1]
    assert driven.strategy == "similarity_retarget" and driven.parameters.fps == 12.5


def test_a_query_over_the_data_set_gives_the_same_ids_as_a_table(
    plan: Callable[..., RequestPlan], folder: Path
) -> None:
    select = "SELECT 'a.png' AS reference, unnest(['s.wav', 't.wav']) AS audio"
    (folder / "r.sql").write_text(select)
    tables = (folder / "r.sql", [good(), good(audio="t.wav")])
    asked, listed = ([planned.request_id for planned in plan(t).videos] for t in tables)
    assert len(asked) == 2 and asked == listed


def test_the_id_follows_contents_parameters_and_weights_and_no_names(
    plan: Callable[..., RequestPlan], folder: Path
) -> None:
    def id_of(weights: UsedWeights = WEIGHTS, **changes: Any) -> str:
        (planned,) = plan([good(**changes)], weights).videos
        return planned.request_id

    first = id_of()
    (folder / "copy.png").write_bytes((folder / "a.png").read_bytes())
    assert id_of(reference="copy.png", name="Anna") == first
    others = [
        id_of(reference="b.png"),
        id_of(seed=7),
        id_of(kps="k.pth"),
        id_of(WEIGHTS.model_copy(update={"sha256": "2" * 64})),
    ]
    Image.new("RGB", (64, 64), "green").save(folder / "a.png")
    assert len({first, id_of(), *others}) == 6


def test_equal_rows_are_one_request(plan: Callable[..., RequestPlan]) -> None:
    found = plan([good(), good(name="again"), good(steps=25), good(steps=24)])
    assert (found.asked, len(found.videos), found.equal) == (4, 2, 2)


def test_a_folder_is_all_its_tables(
    plan: Callable[..., RequestPlan], folder: Path, dataset: Dataset
) -> None:
    write_table(folder / "monday.csv", [good()])
    write_table(folder / "tuesday.csv", [good(), good(audio="t.wav")])
    found = plan_requests(str(folder), dataset, GenerateConfig(), WEIGHTS, "run")
    assert [Path(p.table).name for p in found.videos] == ["monday.csv", "tuesday.csv"]
    assert found.equal == 1


def reasons(found: RequestPlan) -> list[tuple[int, str]]:
    return [(row.row_number, str(row.reason)) for row in found.rejected]


def test_requests_read_nothing_outside_their_folders(
    plan: Callable[..., RequestPlan], folder: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    Image.new("RGB", (64, 64)).save(outside / "x.png")
    (folder / "link.png").symlink_to(outside / "x.png")
    (folder / "up").symlink_to(outside)
    (folder / "zero.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.png")
    names = [
        "../outside/x.png",
        str(outside / "x.png"),
        "link.png",
        "up/x.png",
        "zero.png",
        f"file://{folder}/a.png",
        "http://127.0.0.1/a.png",
        "data:image/png;base64,AAAA",
        "concat:a.png",
        "a.png\x00.jpg",
        "../inputs/../outside/x.png",
        "/etc/passwd",
        "../nothing-there.png",
    ]
    lines = "\n".join(json.dumps(good(reference=name)) for name in names)
    (folder / "r.jsonl").write_text(lines)
    found = plan(folder / "r.jsonl")
    assert not found.videos
    assert reasons(found) == [(n, "not_allowed") for n in range(1, len(names) + 1)]
    said = " ".join(str(row.detail) for row in found.rejected)
    assert "No such file" not in said, "nothing is told of what lies outside"
    more = plan([good(reference=n) for n in ("pipe.png", "up/x.png")], allow=[str(outside)])
    assert reasons(more) == [(1, "not_a_file")] and len(more.videos) == 1
    inside = plan([good(reference=str(folder / "a.png")), good(reference="../inputs/a.png")])
    assert len(inside.videos) == 1 and inside.equal == 1


def png_that_claims(width: int, height: int) -> bytes:
    """The header of a PNG, and one scan line."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * (1 + 3 * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)


def test_what_would_fill_memory_is_rejected_by_its_header(
    plan: Callable[..., RequestPlan], folder: Path
) -> None:
    (folder / "bomb.png").write_bytes(png_that_claims(60_000, 60_000))
    (folder / "wide.png").write_bytes(png_that_claims(12_000, 9_000))
    with (folder / "big.png").open("wb") as file:
        file.truncate(1 << 30)
    write_sound(folder / "long.wav", 61)
    rows = [good(reference=f"{n}.png") for n in ("bomb", "wide", "big")]
    rows += [good(audio="long.wav"), good(width=2048, height=2048)]
    found = plan(rows, limits=Limits(sound_s=60))
    assert reasons(found) == [
        *((n, "too_large") for n in (1, 2, 3)),
        (4, "too_long"),
        (5, "too_large"),
    ]
    assert "expected at most 60 s of sound, found 61.0 s" in str(found.rejected[3].detail)


def test_a_driving_video_has_pictures(plan: Callable[..., RequestPlan], folder: Path) -> None:
    write_video(folder / "drive.mp4", [np.zeros((64, 64, 3), np.uint8)] * 5)
    videos = ("drive.mp4", "s.wav")
    found = plan([good(video=name, retarget="naive_retarget") for name in videos])
    assert [p.asked.row_number for p in found.videos] == [1]
    assert reasons(found) == [(2, "bad_points")]
    assert "expected a video, found no pictures in it" in str(found.rejected[0].detail)


def test_playlists_and_programs_in_disguise_are_not_opened(
    plan: Callable[..., RequestPlan], folder: Path
) -> None:
    (folder / "list.wav").write_text(f"#EXTM3U\n#EXTINF:1,\n{folder}/s.wav\n#EXT-X-ENDLIST\n")
    (folder / "concat.wav").write_text("ffconcat version 1.0\nfile s.wav\n")
    (folder / "draw.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    rows = [good(audio="list.wav"), good(audio="concat.wav"), good(reference="draw.png")]
    assert [r for _, r in reasons(plan(rows))] == ["bad_sound", "bad_sound", "bad_portrait"]


class Touch:
    """What a pickle of an attacker would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


def test_points_files_run_nothing_and_claim_no_more_than_they_hold(
    plan: Callable[..., RequestPlan], folder: Path, tmp_path: Path
) -> None:
    torch.save([Touch(tmp_path / "touched")], folder / "evil.pth")
    (folder / "raw.pth").write_bytes(pickle.dumps(Touch(tmp_path / "touched")))
    torch.save(torch.zeros(1).expand(1 << 40, 3, 2), folder / "huge.pth")
    torch.save([np.zeros((3, 2), np.float32), np.zeros((4, 2), np.float32)], folder / "odd.pth")
    rows = [good(kps=f"{n}.pth") for n in ("evil", "raw", "huge", "odd")]
    assert reasons(plan(rows)) == [(n, "bad_points") for n in (1, 2, 3, 4)]
    assert not (tmp_path / "touched").exists()
    torch.save(np.zeros((5, 3, 2), np.float32), folder / "one.pth")
    assert read_kps(folder / "one.pth").shape == (5, 3, 2)
    with pytest.raises(PointsError, match=r"one \(3, 2\) array a frame"):
        read_kps(folder / "huge.pth")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("deep.jsonl", "[" * 100_000, "expected one JSON object a line"),
        ("list.jsonl", "[1]", "expected a JSON object, found list"),
        ("nested.jsonl", '{"reference": {"a": 1}, "audio": "s.wav"}', "found dict"),
        ("number.jsonl", '{"reference": 5, "audio": "s.wav"}', "expected text, found 5"),
        ("cell.csv", "reference,audio\n" + "x" * 200_000 + ",s.wav\n", "field larger than"),
        ("long.csv", "reference,audio\n" + "x" * 5000 + ",s.wav\n", "at most 4096 characters"),
        ("ragged.csv", "reference,audio\na.png\n", "as many cells as the header"),
        ("twice.csv", "retarget,strategy\n1,2\n", "strategy: given twice"),
        ("empty.csv", "reference,audio\n", "found no row"),
        ("bytes.csv", "reference,audio\n\udcff,s.wav\n", "expected a table of requests"),
        ("no.txt", "reference", "expected one of .parquet"),
        ("write.sql", "COPY (SELECT 1) TO 'x.csv'", "one statement that reads"),
        ("read.sql", "SELECT * FROM read_csv('/etc/passwd')", "read_csv|disabled|Permission"),
        ("cast.sql", "SELECT concat('a', n)::INT AS reference FROM range(1) t(n)", "Conversion"),
    ],
)
def test_tables_that_are_none_are_refused(
    plan: Callable[..., RequestPlan], folder: Path, name: str, text: str, says: str
) -> None:
    (folder / name).write_text(text, errors="surrogateescape")
    with pytest.raises(RunError, match=says):
        plan(folder / name)


def planned(portrait: str, seconds: float, number: int) -> PlannedVideo:
    """A request of a length."""
    return PlannedVideo(
        request_id=f"{portrait}{number}",
        asked_id="",
        table="",
        asked=AskedVideo(row_number=number, parameters={}),
        files={},
        digests={"reference": portrait},
        clip=None,
        strategy="fix_face",  # type: ignore[arg-type]
        parameters=Parameters(),
        sound_s=seconds,
    )


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_table_of_very_many_columns_is_refused_at_once(
    form: str, plan: Callable[..., RequestPlan], tmp_path: Path
) -> None:
    table, many = tmp_path / f"wide.{form}", 3000 if form == "parquet" else 300_000
    names = [f"c{number}" for number in range(many)]
    if form == "csv":
        table.write_text(",".join(names) + "\n")
    elif form == "jsonl":
        table.write_text(json.dumps(dict.fromkeys(names, 1)))
    else:
        pq.write_table(pa.table({name: pa.array([], pa.int8()) for name in names}), table)
    began = time.monotonic()
    with pytest.raises(ConfigError, match=rf"columns.*found {many:,}") as told:
        plan(table)
    assert len(str(told.value)) < 10_000 and time.monotonic() - began < 10


def test_portraits_take_turns_and_of_one_the_longest_come_first() -> None:
    asked = [planned("a", 1 + n % 5, n) for n in range(40)] + [planned("b", 2, n) for n in range(4)]
    runs = in_runs(asked, workers=2)
    assert sorted(p.request_id for run in runs for p in run) == sorted(p.request_id for p in asked)
    assert all(len({p.portrait_key for p in run}) == 1 for run in runs)
    assert [run[0].digests["reference"] for run in runs[:3]] == ["a", "b", "a"]
    of_a = [cost(p) for run in runs for p in run if p.digests["reference"] == "a"]
    assert of_a == sorted(of_a, reverse=True)


def test_a_video_costs_its_frames_and_twice_as_much_with_guidance() -> None:
    guided = planned("a", 2, 1)
    plain = guided.model_copy(update={"parameters": Parameters(guidance=1)})
    assert cost(guided) == 2 * cost(plain) == pytest.approx(2 * cost(planned("a", 1, 1)), rel=0.05)


def test_long_tables_have_tens_of_shards() -> None:
    runs = [[planned("a", 1, n)] for n in range(5000)]
    shards = in_shards(runs, 25)
    assert len(shards) == 50 and sum(map(len, shards)) == 5000
    assert len(in_shards(runs[:60], 25)) == 3
