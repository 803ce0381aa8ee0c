"""All pages have one look and one policy: nothing runs, and links stay beside the page."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import rows
from tests.talking_heads import VideoFormat
from tests.talking_heads.write import write_video
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.evaluation import Evaluation
from vexpress.schemas.generation import Generation
from vexpress.schemas.manifest import commit_batch, prepare_manifests, write_part
from vexpress.tasks.reports.dataset_page import write_report
from vexpress.tasks.reports.evaluation_page import write_evaluation_report
from vexpress.tasks.reports.generations_page import write_page
from vexpress.tasks.reports.page import link, without_places
from vexpress.tasks.reports.training_page import write_train_report
from vexpress.tasks.train.settings import make_settings

EVIL = "<script>alert(1)</script>"
MEASURED = {"held_out_loss_before": 1.0, "held_out_loss": 0.3}
NAMES = ["report.html", "generations.html", "evaluation.html", "run/report.html"]


def small_video(path: Path) -> None:
    """Ten grey frames of 64x64."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = ((n, np.full((64, 64, 3), 20 * n, np.uint8)) for n in range(10))
    write_video(path, VideoFormat(width=64, height=64, sound=False), pictures, track=None)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with all its pages and a training run; names in it are hostile."""
    root = tmp_path_factory.mktemp("pages") / "set"
    dataset = Dataset(root)
    dataset.create()
    prepare_manifests(dataset)
    commit_batch(dataset, "w1", rows.one_batch())
    small_video(root / "generated/good.mp4")
    small_video(root / "javascript:alert(1)//.mp4")
    made = [
        rows.generation("good", out_path="generated/good.mp4", frames=10, name=EVIL),
        rows.generation("evil", out_path="javascript:alert(1)//.mp4", frames=10, asked_id="a2"),
        rows.generation("lost", status="rejected", reason="no_file", detail=EVIL, asked_id="a3"),
    ]
    write_part(dataset, "manifests/generations/g.parquet", Generation, made)
    numbers = [rows.evaluation(None, 3.0), rows.evaluation(None, 2.0, weights=EVIL, key="b")]
    write_part(dataset, "manifests/evaluations/e.parquet", Evaluation, numbers)
    write_report(dataset)
    write_page(dataset)
    write_evaluation_report(dataset, 4)
    write_run(root / "run")
    return root


def write_run(run: Path) -> None:
    """A first stage that has finished and a second that has not, with their page."""
    for number in (1, 2):
        folder = run / f"stage_{number}"
        folder.mkdir(parents=True)
        lines: list[dict[str, object]] = [
            {"step": n, "kind": "train", "loss": 1 / n, "seconds": 2.0, "seconds_waiting": 0.1}
            for n in range(1, 5)
        ]
        lines.append({"step": 4, "kind": "validation", "held_out_loss": 0.3})
        (folder / "metrics.jsonl").write_text("".join(json.dumps(ln) + "\n" for ln in lines))
    done = {"held_out": True, "lips": [EVIL], "measurements": MEASURED}
    (run / "stage_1/done.json").write_text(json.dumps(done))
    write_train_report(run, make_settings("tiny", {"start": "/home/me/start"}))


class Tags(HTMLParser):
    """All tags of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("name", NAMES)
def test_a_page_runs_nothing_and_loads_nothing_but_what_lies_beside_it(
    root: Path, name: str
) -> None:
    page = (root / name).read_text()
    tags = Tags(page).found
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "object", "base", "form"}
    for tag, attributes in tags:
        assert not [key for key in attributes if key.startswith("on")], tag
        for key in ("src", "href", "poster"):
            target = attributes.get(key) or "#"
            assert target.startswith("data:image/") or ":" not in target, (tag, target)
    (policy,) = [a["content"] or "" for _, a in tags if "http-equiv" in a]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and "script-src" not in rules
    assert rules["img-src"] == "data:" and rules["style-src"] == "'unsafe-inline'"
    assert rules["media-src"] == "'self' file:"


@pytest.mark.parametrize("name", NAMES)
def test_a_page_names_no_folder_of_this_machine(root: Path, name: str) -> None:
    page = (root / name).read_text()
    assert str(root.parent) not in page and "/home/" not in page


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/home/me/my videos/a.mp4", "a.mp4"),
        ("sync: SyncNet, /home/me/w/syncnet.model", "sync: SyncNet, syncnet.model"),
        ("same content as ~/v/a.mp4", "same content as a.mp4"),
        (Path("/home/me/start"), "start"),
        (["/home/me/start", 1], "['start', 1]"),
        ("s3://bucket/set/a.mp4", "s3://bucket/set/a.mp4"),
        ("media/a.mp4, 1/25 s, https://x.org/a/b", "media/a.mp4, 1/25 s, https://x.org/a/b"),
        (EVIL, EVIL),
        (7, 7),
    ],
)
def test_of_a_path_the_name_is_shown(value: object, shown: object) -> None:
    assert without_places(value) == shown


def test_every_page_has_the_same_look(root: Path) -> None:
    styles = [re.findall(r"<style>\n(.*?)\nfooter {", (root / n).read_text(), re.S) for n in NAMES]
    assert styles[0] and all(style == styles[0] for style in styles)
    for name in NAMES:
        tags = [tag for tag, _ in Tags((root / name).read_text()).found]
        assert [tags.count(tag) for tag in ("header", "h1", "main", "footer")] == [1, 1, 1, 1]


def test_a_generated_video_is_a_link_whatever_it_is_called(root: Path) -> None:
    page = (root / "generations.html").read_text()
    links = {a["href"] for tag, a in Tags(page).found if tag == "a"}
    assert links == {"generated/good.mp4", "javascript%3Aalert%281%29//.mp4"}
    assert "&lt;script&gt;" in page
    assert "2 videos, " in page and "; 1 request without one." in page


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("generated/a b.mp4", "generated/a%20b.mp4"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("//evil.example/x.mp4", "evil.example/x.mp4"),
        ("http://evil.example", "http%3A//evil.example"),
        ("a\\b\t?c#d\ud800", "a%5Cb%09%3Fc%23d%3F"),
    ],
)
def test_links_are_relative(name: str, expected: str) -> None:
    assert link(name) == expected


def test_the_page_of_a_run_shows_curves_and_gates(root: Path) -> None:
    page = (root / "run/report.html").read_text()
    assert page.count("<polyline") == 4 and page.count('<span class="good">passed') >= 1
    assert "not finished" in page and "&lt;script&gt;" in page
