"""What systems and programs leave behind is left out and counted; lists of every kind are read."""

import json
from pathlib import Path

import pytest

from vexpress.schemas.errors import SourceError
from vexpress.tasks.media.source import left_out_note, list_sources, list_with_left_out


def test_bins_thumbnails_and_unfinished_files_are_left_out(tmp_path: Path) -> None:
    names = [
        *(".Trash-1000/files/old.mp4", "@eaDir/a.mp4/SYNOVIDEO.mp4", "$RECYCLE.BIN/b.mp4"),
        *("._a.mp4", "c.part.mp4", "d.mp4.part", "sub/.thumbnails/e.mp4", "sub/._f.mov"),
    ]
    kept = ["a.mp4", "sub/f.mov", ".hidden/g.mp4", "party.mp4"]
    for name in (*names, *kept):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found, left_out = list_with_left_out(str(tmp_path))
    assert [s.uri for s in found] == sorted(str(tmp_path / name) for name in kept)
    assert len(left_out) == 8
    assert left_out_note(left_out).startswith("8 left out: in a bin, thumbnails or unfinished (")
    assert len(list_sources(str(tmp_path / "*"))) == 4
    assert len(list_sources(str(tmp_path / "._a.mp4"))) == 1, "named, it is taken"


def test_a_folder_of_nothing_but_rubbish_says_so(tmp_path: Path) -> None:
    (tmp_path / "._a.mp4").write_bytes(b"x")
    with pytest.raises(SourceError, match="found none; 1 left out"):
        list_sources(str(tmp_path))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["list.txt", "list.csv", "list.jsonl", "list.ndjson"])
def test_lists_are_read_in_any_encoding(name: str, encoding: str, tmp_path: Path) -> None:
    videos = [tmp_path / "a.mp4", tmp_path / "ß 笑.mp4"]
    for video in videos:
        video.write_bytes(b"x")
    lines = {
        ".txt": ["# videos", *(v.name for v in videos)],
        ".csv": ["path,licence", *(f"{v.name},CC0" for v in videos)],
    }.get(Path(name).suffix, [json.dumps({"source": v.name, "licence": "CC0"}) for v in videos])
    (tmp_path / name).write_bytes("\r\n".join(lines).encode(encoding))
    found = list_sources(str(tmp_path / name))
    assert {s.uri for s in found} == set(map(str, videos))
    assert all(s.problem is None for s in found)
    assert name == "list.txt" or all(s.licence == "CC0" for s in found)


@pytest.mark.parametrize(("line", "says"), [("{", "line 2"), ("7", "line 2: expected an object")])
def test_a_wrong_line_is_named(line: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "list.jsonl").write_text(f'"a.mp4"\n{line}\n')
    with pytest.raises(SourceError, match=says):
        list_sources(str(tmp_path / "list.jsonl"))
