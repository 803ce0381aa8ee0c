"""The page of a data set made on the spot: its numbers, its pictures, its safety."""

import base64
import inspect
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.talking_heads import VideoFormat
from tests.talking_heads.write import write_video
from vexpress import metrics, tasks
from vexpress.schemas.clip import Clip
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.keypoints import ClipKps
from vexpress.schemas.manifest import commit_batch, prepare_manifests, write_run
from vexpress.schemas.row import Row
from vexpress.schemas.run import Run
from vexpress.schemas.track import FaceTrack
from vexpress.schemas.video import Video
from vexpress.tasks.curate.config import CurateConfig
from vexpress.tasks.curate.filter import RULES, KeepRules
from vexpress.tasks.engine import reasons
from vexpress.tasks.reports.contact_sheets import REJECTED_SHOWN
from vexpress.tasks.reports.dataset_page import PAGE, write_report
from vexpress.tasks.reports.reasons import OF_RULES, REASONS
from vexpress.tasks.reports.thumbnails import source_picture

FRAMES, FPS = 50, 25
EVIL = '<script src="http://evil.example/x.js"></script>"><img src=x onerror=alert(1)>.mp4'
EYES_AND_NOSE = ((160, 200), (352, 200), (256, 300))
VOID = {"img", "meta", "br", "rect", "line"}


@dataclass
class Page(HTMLParser):
    """What is on a page, as a reader's program finds it."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag, "tags are closed in order"

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        text = data.replace("\N{NARROW NO-BREAK SPACE}", " ")
        self.texts.append(text)
        if "tr" in self._open and self.rows[-1]:
            self.rows[-1][-1] += text

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))

    def row(self, start: str) -> list[str]:
        """The first row whose first cell starts with `start`, cells tidied."""
        found = next(cells for cells in self.rows if cells[0].startswith(start))
        return [re.sub(r"\s+", " ", cell).strip() for cell in found]

    def pictures(self, alt: str) -> list[np.ndarray]:
        sources = [a["src"] or "" for t, a in self.tags if t == "img" and alt in (a["alt"] or "")]
        data = [base64.b64decode(s.removeprefix("data:image/jpeg;base64,")) for s in sources]
        return [cv2.imdecode(np.frombuffer(d, np.uint8), cv2.IMREAD_COLOR) for d in data]


def read_page(dataset: Dataset) -> Page:
    page = Page()
    page.feed(dataset.read(PAGE).decode())
    page.close()
    return page


def grey_video(path: Path, width: int, height: int) -> None:
    """50 frames, each brighter than the one before: frame n has the level 20 + 4 n."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = ((n, np.full((height, width, 3), 20 + 4 * n, np.uint8)) for n in range(FRAMES))
    write_video(path, VideoFormat(width=width, height=height, sound=False), pictures, track=None)


def video(source: Path | str, number: int = 1, **known: Any) -> Video:
    values: dict[str, Any] = {"video_id": f"video-{number}", "batch_id": "w", "status": "ok"}
    size = {"width": 640, "height": 360, "rotation": 0, "fps": FPS, "duration_s": 3600.0}
    return Video(**(values | size | {"source": str(source)} | known))


def clip(number: int, start: int = 0, end: int = FRAMES, **known: Any) -> Clip:
    values: dict[str, Any] = {
        "clip_id": f"{number:016x}",
        "video_id": "video-1",
        "batch_id": "w",
        "source": "gone.mp4",
        "status": "rejected",
        "scene_index": 0,
        "start_frame": start,
        "end_frame": end,
        "start_s": start / FPS,
        "end_s": end / FPS,
        "faces": 1,
        "fps": FPS,
        "frames": end - start,
    }
    return Clip(**(values | known))


def points_of(clip_id: str) -> ClipKps:
    kps = np.tile(np.array(EYES_AND_NOSE, np.float32), (FRAMES, 1, 1))
    five = np.concatenate([kps, kps[:, :2]], axis=1)
    seen = np.ones(FRAMES, bool)
    return ClipKps(
        clip_id=clip_id, video_id="video-1", batch_id="w", kps=kps, points=five, detected=seen
    )


def face_track(box: tuple[int, int, int, int]) -> FaceTrack:
    ones = np.ones(FRAMES, np.float32)
    return FaceTrack(
        track_id="t",
        video_id="video-1",
        batch_id="w",
        scene_index=0,
        start_frame=0,
        end_frame=FRAMES,
        start_s=0,
        end_s=FRAMES / FPS,
        face_side_px=box[2] - box[0],
        score_mean=0.9,
        score_min=0.9,
        gap_frames=0,
        backend="test",
        detected=ones > 0,
        boxes=np.tile(np.array(box, np.float32), (FRAMES, 1)),
        points=np.zeros((FRAMES, 5, 2), np.float32),
        scores=0.9 * ones,
    )


def run_row(**known: Any) -> Run:
    config = CurateConfig(keep=KeepRules(min_face_side_px=123)).model_dump_json()
    values: dict[str, Any] = {
        "run_id": "r1",
        "kind": "curate",
        "source": "videos/",
        "started_at": "2026-01-02T03:04:05+00:00",
        "finished_at": "2026-01-02T03:05:06+00:00",
        "engine": "local",
        "config": config,
        "versions": '{"av": "18.1.0"}',
        "weights": '[{"name": "faces x", "files": ["a.onnx"], "sha256": "beef", '
        '"licence": "research only"}]',
        "notes": ["features: skipped"],
        "counts": '{"clips_kept": 2, "units_run": 1234}',
        "step_seconds": '{"faces": 12.5, "crop": 2.5}',
        "snapshot": "snapshots/r1.json",
    }
    return Run(**(values | known))


def new_dataset(folder: Path, rows: list[Row], runs: list[Run] | None = None) -> Dataset:
    dataset = Dataset(folder)
    dataset.create()
    prepare_manifests(dataset)
    commit_batch(dataset, "w", rows)
    for run in runs or []:
        write_run(dataset, run)
    return dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Four sources: one with a kept clip and two rejected, one gone, one evil, one double."""
    folder = tmp_path_factory.mktemp("report")
    source = folder / "in" / "good.mp4"
    grey_video(source, 640, 360)
    grey_video(folder / "set" / "media" / "made.mp4", 512, 512)
    (folder / "set" / "media" / "made.mp4").rename(folder / "made.mp4")
    (folder / "set" / "media").rmdir()
    crop = {"crop_x1": 200, "crop_y1": 40, "crop_x2": 480, "crop_y2": 320}
    kept: dict[str, Any] = {"face_side_px": 250.0, "transcript": f"<i>ask</i> {40 * 'what '}"}
    rows: list[Row] = [
        video(source),
        video(folder / "gone.mp4", 2),
        video(folder / EVIL, 3, status="rejected", reason="unreadable", detail="<b>bold</b>"),
        video(folder / "copy.mp4", 1, duplicate_of=str(source)),
        clip(1, source=str(source), status="kept", media_path="media/made.mp4", **kept),
        clip(2, source=str(source), reason="small_face", face_side_px=90.0, **crop),
        clip(3, source=str(folder / "gone.mp4"), video_id="video-2", reason="no_face", faces=0),
        points_of(f"{1:016x}"),
        face_track((300, 100, 400, 200)),
    ]
    dataset = new_dataset(folder / "set", rows, [run_row()])
    dataset.publish(folder / "made.mp4", "media/made.mp4")
    write_report(dataset)
    return dataset


def test_the_headline_and_the_funnel_say_what_the_manifests_say(dataset: Dataset) -> None:
    page = read_page(dataset)
    assert "Of 4.00 h in 4 sources, 2.0 s were kept in 1 clip: 0 %." in page.text
    assert page.row("Sources")[1:3] == ["4", "4.00 h"]
    assert page.row("Candidates")[1:3] == ["3", "6.0 s"]
    assert page.row("Kept")[1:3] == ["1", "2.0 s"]


def test_how_it_was_made_says_what_each_run_counted(dataset: Dataset) -> None:
    row = read_page(dataset).row("2026-01-02 03:04:05")
    assert row[1:] == ["curate", "videos/", "local", "clips kept 2, units run 1,234"]


def test_every_loss_is_counted_and_explained_in_plain_words(dataset: Dataset) -> None:
    page = read_page(dataset)
    assert page.row("small_face")[1:3] == ["1", "2.0 s"]
    assert REASONS["small_face"] in page.row("small_face")[0]
    assert page.row("unreadable")[1:3] == ["1", "1.00 h"]
    assert REASONS["duplicate"] in page.row("duplicate")[0]


def reasons_in(*folders: Path) -> set[str]:
    """Reasons as they stand in the code: of rejections, of rows, and of numbers."""
    code = "\n".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    patterns = (
        r'Rejection\(\s*"(\w+)"',
        r'unmeasured\(\s*(?:\([^)]*\)|[^"()]*),\s*"(\w+)"',
        r'reason="(\w+)"',
        r'"reason": "(\w+)"',
        r'reason: str = Field\("(\w+)"',
        r'Error: "(\w+)",\n',
    )
    return {found for pattern in patterns for found in re.findall(pattern, code)}


def test_every_reason_has_its_words_and_every_word_its_reason() -> None:
    """In one place each: beside the rule, or in the table of what steps raise."""
    tasks_folder = Path(inspect.getfile(tasks)).parent
    ours = [tasks_folder / name for name in ("curate", "engine", "media", "reports")]
    of_sources = reasons_in(*ours) | {"several_faces", "no_face"}
    of_rules = {rule.reason for rule in RULES}
    of_requests = reasons_in(tasks_folder / "generate")
    of_numbers = reasons_in(tasks_folder / "evaluate", Path(inspect.getfile(metrics)).parent)
    failures, told = set(reasons.FAILURES), set(reasons.SOURCES) | set(reasons.CANDIDATES)
    of_views = {"duplicate"}
    assert of_sources - failures - of_rules == told - of_views
    assert of_rules == set(OF_RULES) and not told & of_rules
    assert of_requests - failures == set(reasons.REQUESTS)
    assert of_numbers - failures == set(reasons.NUMBERS)
    assert failures <= of_sources | of_requests


def test_sources_are_listed_with_what_they_lose_the_most_first(dataset: Dataset) -> None:
    page = read_page(dataset)
    table = [cells for cells in page.rows if len(cells) == 6 and ".mp4" in cells[0]]
    names = [cells[0].strip().split(" 640")[0] for cells in table]
    assert set(names[:3]) == {"copy.mp4", "gone.mp4", EVIL.rpartition("/")[2]}
    assert names[3] == "good.mp4"
    assert [cell.strip() for cell in table[3]][2:] == [
        "lost: 1 × small_face",
        "1.00 h",
        "2.0 s 0 %",
        "1 of 2",
    ]


def test_thresholds_stand_in_the_charts(dataset: Dataset) -> None:
    page = read_page(dataset)
    assert "≥ 123" in page.text
    titles = [text for text in page.texts if "kept," in text and "px" in text]
    assert sum(int(n) for text in titles for n in re.findall(r"(\d+) kept", text)) == 1
    assert sum(int(n) for text in titles for n in re.findall(r"(\d+) rejected", text)) == 1


def test_what_other_presets_would_keep_stands_beside_what_is_kept(dataset: Dataset) -> None:
    page = read_page(dataset)
    assert page.row("kept")[:2] == ["kept", "1 2.0 s"]
    assert page.row("not_measured")[1:5] == ["–", "1 2.0 s", "–", "–"], "permissive alone"
    short = page.row("too_short")
    assert short[1:5] == ["–", "–", "2 4.0 s", "2 4.0 s"] and REASONS["too_short"] in short[5]


def test_a_kept_clip_shows_three_frames_with_its_points(dataset: Dataset) -> None:
    pictures = read_page(dataset).pictures(f"{1:016x}")
    assert len(pictures) == 3
    levels = [float(picture[5:20, 5:20].mean()) for picture in pictures]
    assert levels == pytest.approx([20, 20 + 4 * 25, 20 + 4 * 49], abs=4)
    scale = pictures[0].shape[0] / 512
    for point, channel in zip(EYES_AND_NOSE, (2, 1, 0), strict=True):
        x, y = (round(value * scale) for value in point)
        assert pictures[0][y, x].argmax() == channel
        assert pictures[0][y, x].max() > 150


def test_a_kept_clip_tells_the_first_of_what_is_said(dataset: Dataset) -> None:
    page = read_page(dataset)
    (said,) = [text for text in page.texts if text.startswith("<i>ask</i> what")]
    assert said.endswith("what …") and len(said) <= 90


def test_a_candidate_that_was_never_cropped_shows_its_middle_frame_and_face(
    dataset: Dataset,
) -> None:
    (picture,) = read_page(dataset).pictures(f"{2:016x}")
    assert picture.shape == (180, 320, 3)
    assert picture[5:20, 5:20].mean() == pytest.approx(20 + 4 * 25, abs=4)
    left_edge = picture[80, 150].astype(int)  # of the box at x = 300 of 640
    assert left_edge[2] > 180 and left_edge[0] < 100, "an orange line"


def test_a_source_that_is_gone_says_so(dataset: Dataset) -> None:
    page = read_page(dataset)
    assert not page.pictures(f"{3:016x}")
    assert "No picture: expected a video file; it cannot be opened" in page.text


def test_nothing_is_loaded_from_outside_and_nothing_runs(dataset: Dataset) -> None:
    page = read_page(dataset)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "base"}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href", "srcset", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/jpeg;base64,"))
    html = dataset.read(PAGE).decode()
    assert "url(" not in html and "@import" not in html


def test_a_hostile_file_name_is_text_and_nothing_else(dataset: Dataset) -> None:
    page = read_page(dataset)
    assert EVIL.rpartition("/")[2] in "".join(page.texts)
    assert "<b>bold</b>" in "".join(page.texts)
    assert all(
        (attributes.get("src") or "").startswith("data:")
        for tag, attributes in page.tags
        if tag == "img"
    )


def test_the_run_tells_settings_weights_licences_and_seconds(dataset: Dataset) -> None:
    page = read_page(dataset)
    assert page.row("faces x")[2:] == ["beef", "research only"]
    assert page.row("crop")[2] == "2.5 s"
    assert "min_face_side_px 123.0" in page.text
    assert "features: skipped" in page.text and "18.1.0" in page.text


def test_the_same_data_set_gives_the_same_page(dataset: Dataset) -> None:
    before = dataset.read(PAGE), dataset.read("sheets/kept.jpg")
    paths = write_report(dataset)
    assert (dataset.read(PAGE), dataset.read("sheets/kept.jpg")) == before
    assert paths.sheets == [
        "sheets/kept.jpg",
        "sheets/rejected-no_face.jpg",
        "sheets/rejected-small_face.jpg",
    ]
    assert dataset.names("sheets/*") == paths.sheets


def test_an_empty_data_set_has_a_page_too(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "set")
    dataset.create()
    prepare_manifests(dataset)
    assert write_report(dataset).sheets == []
    page = read_page(dataset)
    assert "Nothing is in this data set yet." in page.text
    assert "No run is recorded here" in page.text


def test_many_candidates_cost_no_more_pictures_and_leave_no_old_sheets(tmp_path: Path) -> None:
    rows: list[Row] = [video("gone.mp4")]
    rows += [clip(n, n, n + 1, reason="no_face") for n in range(500)]
    dataset = new_dataset(tmp_path / "set", rows)
    dataset.write("sheets/rejected-gaps.jpg", b"of an earlier report")
    write_report(dataset)
    page = read_page(dataset)
    shown = re.findall(r"\b(\d+\.\d)–\d+\.\d s", page.text)
    assert len(shown) == REJECTED_SHOWN
    assert float(shown[0]) < 2 and float(shown[-1]) > 18, "from all over the data set"
    assert f"{REJECTED_SHOWN} of 500, chosen evenly." in page.text
    assert dataset.names("sheets/*") == ["sheets/rejected-no_face.jpg"]


def test_manifests_cannot_lead_the_report_out_of_the_data_set(tmp_path: Path) -> None:
    grey_video(tmp_path / "secret.mp4", 512, 512)
    rows: list[Row] = [
        video("gone.mp4"),
        clip(1, status="kept", media_path="../secret.mp4"),
        clip(2, reason="../../evil"),
    ]
    dataset = new_dataset(tmp_path / "set", rows)
    write_report(dataset)
    assert not read_page(dataset).pictures(f"{1:016x}")
    assert dataset.names("sheets/*") == ["sheets/kept.jpg", "sheets/rejected-other.jpg"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["secret.mp4", "set"]


def test_a_candidate_is_shown_as_curation_sees_it(tmp_path: Path) -> None:
    halves = np.zeros((360, 640, 3), np.uint8)
    halves[:, 320:] = 255
    form = VideoFormat(width=640, height=360, sound=False)
    write_video(tmp_path / "a.mp4", form, ((n, halves) for n in range(5)), track=None)
    for mirrored in (False, True):
        seen = video(tmp_path / "a.mp4", mirrored=mirrored, coded_width=640, coded_height=360)
        picture = source_picture(seen, 0.1, [], None)
        assert bool(picture[:, :150].mean() > 200) is mirrored
        assert bool(picture[:, -150:].mean() < 50) is mirrored
