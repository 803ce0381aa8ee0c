"""A source lists every video that it holds, whatever it is called, and opens no other file."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs
from moto.server import ThreadedMotoServer

from tests.helpers.steps import probed
from tests.talking_heads import Shot, VideoFormat, render
from tests.tasks.conftest import Rendered
from vexpress.schemas.errors import SourceError
from vexpress.tasks.engine.step import Rejection
from vexpress.tasks.media.frames import open_media
from vexpress.tasks.media.source import describe_again, list_sources, total_duration

TINY = VideoFormat(width=64, height=48, sound=False)


def names(source: str | Path) -> list[str]:
    """File names of the sources, in order."""
    return [Path(item.uri).name for item in list_sources(str(source))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five videos by name in three folders, beside files that are none."""
    for name in ("a.mp4", "b.MOV", "notes.txt", "sub/c.mkv", "sub/deep/d.webm", "sub/[e].ts"):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "videos"


def test_a_folder_is_searched_with_all_below_it(folder: Path) -> None:
    assert names(folder) == ["a.mp4", "b.MOV", "[e].ts", "c.mkv", "d.webm"]


def test_a_file_is_taken_even_without_a_video_name(folder: Path) -> None:
    assert names(folder / "a.mp4") == ["a.mp4"]
    (folder / "recording").write_bytes(b"x")
    assert names(folder / "recording") == ["recording"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.mp4", ["a.mp4"]),
        ("*", ["a.mp4", "b.MOV", "[e].ts", "c.mkv", "d.webm"]),
        ("s*/*.mkv", ["c.mkv"]),
        ("**/*.webm", ["d.webm"]),
        ("sub/[e].ts", ["[e].ts"]),
        ("sub/?e?.ts", ["[e].ts"]),
    ],
)
def test_a_glob_takes_the_videos_that_match(pattern: str, found: list[str], folder: Path) -> None:
    assert names(folder / pattern) == found


def test_relative_paths_and_links_are_made_absolute_but_not_followed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "link.mp4").symlink_to("a.mp4")
    assert [s.uri for s in list_sources("link.mp4")] == [str(folder / "link.mp4")]
    assert list_sources("sub/../a.mp4")[0].uri == str(folder / "a.mp4")


def test_size_and_time_tell_a_changed_file(folder: Path) -> None:
    (before,) = list_sources(str(folder / "a.mp4"))
    assert before.size_bytes == 5
    os.utime(folder / "a.mp4", ns=(1, 1))
    after = describe_again(before.uri)
    assert after.modified == "1" != before.modified


def test_nothing_to_list_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"expected videos \(\.mp4, .*, found none"):
        list_sources(str(tmp_path))
    with pytest.raises(SourceError, match="expected a file, folder, glob or list, found nothing"):
        list_sources(str(tmp_path / "nowhere"))
    with pytest.raises(SourceError, match="found none"):
        list_sources(str(tmp_path / "*.mp4"))


@pytest.mark.parametrize("pattern", ["", "*", "**/*", "**"])
def test_links_that_lead_in_circles_end(pattern: str, folder: Path) -> None:
    (folder / "self").symlink_to(".")
    (folder / "sub/up").symlink_to("..")
    (folder / "sub/other").symlink_to("../sub/deep")
    found = [item.uri for item in list_sources(str(folder / pattern))]
    assert len({os.path.realpath(uri) for uri in found}) == 5
    if not pattern:
        assert len(found) == 5, "each real folder once"


@pytest.mark.parametrize(
    "name",
    [
        'it\'s "quoted".mp4',
        "two\nlines.mp4",
        "\u2028separator\x0b.mp4",
        " spaces .mp4",
        "-y.mp4",
        "~home.mp4",
        "~/v.mp4",
        "a::b.mp4",
        "100%{of}$HOME;#1?*.mp4",
        "concat:a|b.mp4",
        "смех笑い.mp4",
    ],
)
def test_any_name_is_listed_and_opened(name: str, tmp_path: Path) -> None:
    render([Shot(duration_s=0.2)], tmp_path / "v.mp4", TINY)
    path = tmp_path / "videos" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "v.mp4").rename(path)
    (item,) = list_sources(str(tmp_path / "videos"))
    assert item.uri == str(path)
    assert probed(path).frames == 5
    (tmp_path / "list.csv").write_text('path\n"' + str(path).replace('"', '""') + '"\n')
    assert list_sources(str(tmp_path / "list.csv")) == [item]
    path.write_bytes(b"broken")
    assert probed(path).reason == "unreadable"


def test_a_name_that_is_no_text_is_listed_with_its_problem(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4")).write_bytes(b"x")
    (item,) = list_sources(str(tmp_path))
    assert item.problem == "expected a name in UTF-8; rename the file"
    assert item.uri.endswith("\\xff.mp4")


def test_devices_and_pipes_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "null.mp4").symlink_to("/dev/zero")
    assert {item.problem for item in list_sources(str(tmp_path))} == {
        "expected a file, found something that is no file"
    }


def test_a_text_list_has_a_path_a_line(folder: Path) -> None:
    text = f"# the best ones\nvideos/a.mp4\n\n{folder}/sub/c.mkv\r\nvideos/gone.mp4\nvideos/a.mp4\n"
    (folder.parent / "list.txt").write_text(text)
    found = list_sources(str(folder.parent / "list.txt"))
    assert [(Path(s.uri).name, bool(s.problem)) for s in found] == [
        ("a.mp4", False),
        ("gone.mp4", True),
        ("c.mkv", False),
    ]


@pytest.mark.parametrize("column", ["source", "path", "video", "uri", "file"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_has_a_path_and_a_licence(column: str, kind: str, folder: Path) -> None:
    path = folder.parent / f"list.{kind}"
    table = {"id": ["1", "2"], column: ["videos/a.mp4", "videos/b.MOV"], "licence": ["CC-BY", None]}
    if kind == "parquet":
        pq.write_table(pa.table(table), path)
    else:
        path.write_text(f"id,{column},licence\n1,videos/a.mp4,CC-BY\n2,videos/b.MOV,\n")
    found = list_sources(str(path))
    assert [(Path(s.uri).name, s.licence) for s in found] == [("a.mp4", "CC-BY"), ("b.MOV", None)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list.csv", b"name\na.mp4\n", r"row 1: expected a column named one of source, .* found n"),
        ("list.txt", b"\xff\xfe\xff", "expected a list of videos, it cannot be read"),
        ("list.parquet", b"PAR1 no", "expected a list of videos, it cannot be read"),
        ("gone.txt", None, "expected a list of videos, it cannot be read: .*No such file"),
        ("list.txt", b"\n# nothing\n", "found none"),
    ],
)
def test_a_bad_list_is_told_of(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message):
        list_sources(str(tmp_path / name))


def test_entries_that_cannot_be_paths_are_rows_with_a_problem(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\x00.mp4\n" + "x" * 5000 + ".mp4\n~nobody/a.mp4\n")
    found = list_sources(str(tmp_path / "list.txt"))
    assert len(found) == 3
    assert all("a name that leads nowhere" in str(item.problem) for item in found)


@pytest.fixture
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """A port of this machine and what was asked of it."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                asked.append(connection.recv(1000))
                connection.close()

        threading.Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1], asked
        server.shutdown(socket.SHUT_RDWR)


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{url}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video {port} RTP/AVP 96\n",
    "dash": '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{url}</BaseURL></MPD>',
    "smil": '<smil><body><video src="{url}"/></body></smil>',
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
def test_a_playlist_that_calls_itself_a_video_opens_nothing(
    kind: str,
    suffix: str,
    four_shots: Rendered,
    listener: tuple[int, list[bytes]],
    tmp_path: Path,
) -> None:
    port, asked = listener
    for number, url in enumerate((str(four_shots.path), f"http://127.0.0.1:{port}/x.ts")):
        path = tmp_path / f"list{number}{suffix}"
        path.write_text(PLAYLISTS[kind].format(url=url, port=port))
        with pytest.raises(Rejection, match="unreadable"), open_media(str(path)):
            pass
    assert asked == []
    assert {item.problem for item in list_sources(str(tmp_path))} == {None}
    assert total_duration(list_sources(str(tmp_path))) == 0


def test_the_headers_tell_how_long_it_all_is(four_shots: Rendered) -> None:
    found = list_sources(str(four_shots.path))
    assert total_duration([*found, *found]) == pytest.approx(2 * 7.2, abs=0.1)


def test_a_bucket_is_a_source_like_a_folder(
    monkeypatch: pytest.MonkeyPatch, four_shots: Rendered
) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anyone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem()
    files.makedirs("videos", exist_ok=True)
    files.put_file(str(four_shots.path), "videos/talks/a.mp4")
    files.pipe("videos/talks/notes.txt", b"no video")
    files.pipe("videos/list.txt", b"talks/a.mp4\ns3://videos/talks/gone.mp4\n")
    try:
        (item,) = list_sources("s3://videos/talks")
        assert (item.uri, item.size_bytes) == (
            "s3://videos/talks/a.mp4",
            four_shots.path.stat().st_size,
        )
        assert list_sources("s3://videos/*/*.mp4") == [item]
        listed, gone = list_sources("s3://videos/list.txt")
        assert listed == item
        assert gone.problem == "expected a video of that name, found nothing there"
        assert describe_again(gone.uri).problem == gone.problem
        with open_media(item.uri) as container:
            assert container.streams.video[0].frames == len(four_shots.truth.frames)
        with pytest.raises(SourceError, match="expected a bucket or prefix that can be listed"):
            list_sources("s3://nobodys-bucket/x")
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        server.stop()
