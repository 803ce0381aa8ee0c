"""Lists with a row per span: every form and encoding, published shapes, what is wrong in them."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vexpress.schemas.errors import SourceError
from vexpress.schemas.span import Span
from vexpress.tasks.engine.units import Source
from vexpress.tasks.media.source import describe_again, list_sources, total_duration

ROWS = [
    {
        "path": "a.mp4",
        "start_s": 1.5,
        "end_s": "0:04.25",
        "x1": 0.25,
        "y1": 0.1,
        "x2": 0.5,
        "y2": 0.4,
        "person": "Ada",
        "language": "en",
        "split": "test",
        "caption": 'says "hello", loudly\nand twice',
        "licence": "CC0",
        "Mood, as heard": "calm",
    },
    {"path": "a.mp4", "start_s": 10, "end_s": 12},
    {"path": "sub/ß 笑.mkv", "start_s": 0, "end_s": 2},
]


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    for name in ("a.mp4", "sub/ß 笑.mkv", "sub/dQw4w9WgXcQ.webm", "RD_x.mp4"):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "videos"


def as_csv(rows: list[dict[str, Any]], separator: str) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


WRITERS: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    "list.csv": lambda rows: as_csv(rows, ","),
    "semicolons.csv": lambda rows: as_csv(rows, ";"),
    "tabs.tsv": lambda rows: as_csv(rows, "\t"),
    "list.jsonl": lambda rows: "\n".join(json.dumps(row) for row in rows),
    "list.json": lambda rows: json.dumps(rows, ensure_ascii=False),
}


def spans(source: Path, root: Path | None = None) -> list[Span]:
    found = list_sources(str(source), str(root) if root else None)
    return [s.span for s in sorted(found, key=lambda s: s.span.listed_row or 0) if s.span]


def require_rows(found: list[Span], videos: Path) -> None:
    assert [span.file for span in found] == [
        str(videos / name) for name in ("a.mp4", "a.mp4", "sub/ß 笑.mkv")
    ]
    assert [(s.span_start_s, s.span_end_s) for s in found] == [(1.5, 4.25), (10, 12), (0, 2)]
    first = found[0]
    assert first.span_box == [0.25, 0.1, 0.5, 0.4] and found[1].span_box is None
    assert (first.listed_person, first.listed_language, first.listed_split) == ("Ada", "en", "test")
    assert first.caption == ROWS[0]["caption"] and found[1].caption is None
    assert first.source_columns == {"source_mood_as_heard": "calm"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", WRITERS)
def test_every_form_in_every_encoding(name: str, encoding: str, videos: Path) -> None:
    path = videos.parent / name
    path.write_bytes(WRITERS[name](ROWS).encode(encoding))
    require_rows(spans(path, videos), videos)
    moved = videos / name
    path.rename(moved)
    require_rows(spans(moved), videos)


def test_parquet(videos: Path) -> None:
    path = videos / "list.parquet"
    rows = [{**row, "start_s": float(row["start_s"]), "end_s": str(row["end_s"])} for row in ROWS]
    pq.write_table(pa.Table.from_pylist(rows), path)
    require_rows(spans(path), videos)


def test_a_span_is_a_source_of_its_own(videos: Path) -> None:
    path = videos / "list.csv"
    path.write_text(WRITERS["list.csv"](ROWS))
    found = list_sources(str(path))
    assert [s.uri for s in found] == [
        f"{videos}/a.mp4#t=1.5,4.25&face=0.25,0.1,0.5,0.4",
        f"{videos}/a.mp4#t=10,12",
        f"{videos}/sub/ß 笑.mkv#t=0,2",
    ]
    assert [s.licence for s in found] == ["CC0", None, None]
    assert total_duration(found) == 2.75 + 2 + 2, "what is listed, not what files hold"
    again = describe_again(found[0].uri, found[0].model_dump_json())
    assert again == found[0]
    (videos / "a.mp4").unlink()
    gone = describe_again(found[0].uri, found[0].model_dump_json())
    assert gone.span == found[0].span and "leads nowhere" in str(gone.problem)


def test_lists_without_spans_are_as_they_were(videos: Path) -> None:
    (videos / "list.csv").write_text("path,licence,mood\na.mp4,CC0,calm\n")
    (found,) = list_sources(str(videos / "list.csv"))
    assert found == Source(**found.model_dump(include={"uri", "size_bytes", "modified", "licence"}))
    assert set(json.loads(found.model_dump_json())) == {
        *("uri", "size_bytes", "modified", "licence", "problem")
    }, "batches have the ids they had"


TALKVID = {
    "id": "videovideodQw4w9WgXcQ-scene1",
    "height": 2160,
    "width": 3840,
    "fps": 24.0,
    "start-time": 0.1,
    "start-frame": 0,
    "end-time": 5.141667,
    "end-frame": 121,
    "durations": "5.042s",
    "info": {
        "Person ID": "597",
        "Ethnicity": "White",
        "Language": "English",
        "Video Link": "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
    },
    "description": "A man talks.",
    "dover_scores": 8.9,
    "head_detail": {"scores": {"avg_movement": 97.9}},
}
CELEBV = {
    "meta_info": {"appearance_mapping": ["Blurry"]},
    "clips": {
        "dQw4w9WgXcQ_0": {
            "ytb_id": "dQw4w9WgXcQ",
            "duration": {"start_sec": 81.62, "end_sec": 86.17},
            "bbox": {"top": 0.1, "bottom": 0.7, "left": 0.4, "right": 0.8},
            "attributes": {"appearance": [0, 1]},
            "version": "v0.1",
        }
    },
}
PUBLISHED = {
    "talkvid.json": (
        json.dumps([TALKVID]),
        {
            "span_start_s": 0.1,
            "span_end_s": 5.141667,
            "span_start_frame": None,
            "listed_person": "597",
            "listed_language": "English",
            "caption": "A man talks.",
        },
    ),
    "celebvhq_info.json": (
        json.dumps(CELEBV),
        {"span_start_s": 81.62, "span_end_s": 86.17, "span_box": [0.4, 0.1, 0.8, 0.7]},
    ),
    "avspeech_test.csv": (
        "dQw4w9WgXcQ,30.000000,34.966667,0.427083,0.302083\n",
        {"span_start_s": 30, "span_box": [0.427083, 0.302083, 0.427083, 0.302083]},
    ),
    "train_video_tubes.txt": (
        "dQw4w9WgXcQ, 720, 1280, 30, 99, 320, 72, 640, 432\n",
        {"span_start_frame": 30, "span_end_frame": 100, "span_box": [0.25, 0.1, 0.5, 0.6]},
    ),
    "RD_annotion_time.txt": ("RD_x.mp4 0:05-1:00.5\n", {"span_start_s": 5, "span_end_s": 60.5}),
    "vfhq.txt": (
        "Clip+dQw4w9WgXcQ+P2+C1+F100-220.txt\n",
        {"span_start_frame": 101, "span_end_frame": 219, "listed_person": "dQw4w9WgXcQ P2"},
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_lists_are_known(name: str, videos: Path) -> None:
    text, expected = PUBLISHED[name]
    (videos.parent / name).write_text(text)
    (span,) = spans(videos.parent / name, videos)
    file = "RD_x.mp4" if name.startswith("RD") else "sub/dQw4w9WgXcQ.webm"
    assert span.file == str(videos / file)
    assert {key: getattr(span, key) for key in expected} == expected
    if name == "talkvid.json":
        kept = span.source_columns
        assert kept["source_info_ethnicity"] == "White" and kept["source_dover_scores"] == "8.9"
        assert kept["source_head_detail_scores_avg_movement"] == "97.9"
        assert kept["source_start_frame"] == "0", "of another file's rate, but not lost"


def test_more_spans_of_a_line_of_hdtf(videos: Path) -> None:
    (videos / "t_annotion_time.txt").write_text("RD_x.mp4 0:05-0:10 1:00-1:30\n")
    assert [s.span_start_s for s in spans(videos / "t_annotion_time.txt")] == [5, 60]


def test_a_folder_of_meta_files_of_vfhq(videos: Path) -> None:
    folder = videos.parent / "meta_info"
    folder.mkdir()
    text = "VIDEO dQw\nH 720\nW 1280\nFPS 25.0\nCROP 320 72 640 432\n"
    (folder / "Clip+dQw4w9WgXcQ+P0+C0+F10-50.txt").write_text(text)
    (span,) = spans(folder, videos)
    assert span.span_box == [0.25, 0.1, 0.5, 0.6] and span.span_start_frame == 11


def test_rows_about_what_is_not_there_are_sources_with_a_problem(videos: Path) -> None:
    (videos / "sub/a.mp4").write_bytes(b"another a")
    rows = "gone,1,2\ndQw4w9WgXcQ,1,2\na,1,2\n"
    (videos / "list.csv").write_text(f"id,start,end\n{rows}")
    found = sorted(list_sources(str(videos / "list.csv")), key=lambda s: s.span.listed_row)
    problems = [s.problem for s in found]
    assert problems[0] == f"expected one video of that name below {videos}, found none"
    assert problems[1] is None
    assert problems[2] == f"expected one video of that name below {videos}, found 2 files"


def test_spans_of_one_face_that_overlap_are_told_of(videos: Path) -> None:
    rows = [
        {"path": "a.mp4", "start": 0, "end": 5, "bbox": "0 0 0.4 0.4"},
        {"path": "a.mp4", "start": 4, "end": 9, "bbox": "0.5 0 0.9 0.4"},
        {"path": "a.mp4", "start": 4.5, "end": 9, "bbox": "0.02,0,0.4,0.4"},
        {"path": "a.mp4", "start": 5, "end": 9, "bbox": [0, 0, 0.4, 0.4]},
        {"path": "RD_x.mp4", "start": 4, "end": 9},
    ]
    (videos / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = {s.span.listed_row: s for s in list_sources(str(videos / "list.jsonl")) if s.span}
    told = {row: (s.reason, s.problem) for row, s in found.items() if s.problem}
    assert told == {3: ("overlap", "it overlaps that of row 1")}


HEAD = "path,start_s,end_s"
WRONG = {
    "no name of a file": (
        f"{HEAD}\n,1,2\na.mp4,1,2\n,3,4\n",
        ["row 1: expected a column", "row 3"],
    ),
    "no end": (f"{HEAD}\na.mp4,1,\na.mp4,2,\n", ["row 1: expected both start and end", "row 2"]),
    "no start": (f"{HEAD}\na.mp4,,1\n", ["row 1: expected both start and end, found one"]),
    "neither": (f"{HEAD}\na.mp4,,\na.mp4,1,2\n", ["row 1: expected start and end, in seconds"]),
    "an end before its start": (
        f"{HEAD}\na.mp4,5,3\na.mp4,1,1\n",
        ["row 1: expected 0 ≤ start < end, found 5 to 3", "row 2: expected 0 ≤ start < end"],
    ),
    "a start before the video": (f"{HEAD}\na.mp4,-1,3\n", ["row 1: expected 0 ≤ start < end"]),
    "words for numbers": (
        f"{HEAD}\na.mp4,one,3\na.mp4,1,1:2:3:4\n",
        [
            "row 1: expected seconds, or hours:minutes:seconds, found 'one'",
            "row 2: expected seconds",
        ],
    ),
    "no number at all": (
        f"{HEAD}\na.mp4,nan,3\na.mp4,0,inf\n",
        ["row 1: expected seconds", "row 2"],
    ),
    "parts of frames": (
        "path,start_frame,end_frame\na.mp4,1.5,3\n",
        ["row 1: expected a frame's number, found '1.5'"],
    ),
    "half a box": (
        f"{HEAD},x1,y1,x2,y2\na.mp4,1,3,5,5,,\n",
        ["row 1: expected all of x1, y1, x2, y2, found only some"],
    ),
    "a box inside out": (
        f"{HEAD},x1,y1,x2,y2\na.mp4,1,3,9,5,5,8\n",
        ["row 1: expected a box x1 < x2, y1 < y2, none below 0"],
    ),
    "a box of three": (
        f'{HEAD},bbox\na.mp4,1,3,"1,2,3"\n',
        ["row 1: expected a box of four numbers"],
    ),
    "a crop that is no square": (
        f"{HEAD},crop_x1,crop_y1,crop_x2,crop_y2\na.mp4,1,3,0,0,10,20\n",
        ["row 1: expected a crop that is a square, found [0, 0, 10, 20]"],
    ),
    "a row twice": (
        f"{HEAD}\na.mp4,1,3\na.mp4,5,6\na.mp4,1.0,3\n",
        ["row 3: expected each span once, found that of row 1"],
    ),
    "more values than columns": (
        f"{HEAD}\na.mp4,1,3,4\na.mp4,4,5\n",
        ["row 1: expected a value a column, found more values than columns"],
    ),
    "a column twice": ("path,start,start\na.mp4,1,2\n", ["expected each column once, found twice"]),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_list_is_refused_with_all_wrong_rows(what: str, videos: Path) -> None:
    text, said = WRONG[what]
    (videos / "list.csv").write_text(text)
    with pytest.raises(SourceError) as error:
        list_sources(str(videos / "list.csv"))
    assert str(videos / "list.csv") in str(error.value)
    for words in said:
        assert words in str(error.value), str(error.value)


BROKEN = {
    "list.jsonl": (b'{"path": "a.mp4", "start": 1, "end": 2}\n{\n7\n', ["line 2", "line 3"]),
    "list.json": (b'[{"path": "a.mp4"}, 7, null]', ["rows 2, 3: expected an object"]),
    "object.json": (b'{"a": 1}', ["expected a JSON list of objects, found dict"]),
    "text.json": (b"[", ["it cannot be read"]),
    "latin.csv": ("path,start,end\nä.mp4,1,2\n".encode("latin-1"), ["it cannot be read", "utf-8"]),
    "half.csv": ("path,start,end\n".encode("utf-16")[:-1], ["it cannot be read"]),
    "list.parquet": (b"PAR1", ["it cannot be read"]),
    "empty.csv": (b"", ["expected videos", "found none"]),
    "head.csv": (b"path,start,end\n", ["found none"]),
    "wide.jsonl": (
        b"".join(b'{"path": "a.mp4", "c%d": 1}\n' % n for n in range(1001)),
        ["expected at most 1,000 columns, found 1,002"],
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused(name: str, videos: Path) -> None:
    data, said = BROKEN[name]
    (videos / name).write_bytes(data)
    with pytest.raises(SourceError) as error:
        list_sources(str(videos / name))
    for words in said:
        assert words in str(error.value), str(error.value)


def test_many_wrong_rows_are_counted(videos: Path) -> None:
    (videos / "list.csv").write_text(f"{HEAD}\n" + "a.mp4,2,1\n" * 250)
    with pytest.raises(
        SourceError, match=r"250 of 250 rows cannot be used:[^…]*\n  and rows 101…250$"
    ) as e:
        list_sources(str(videos / "list.csv"))
    assert len(str(e.value)) < 10_000
