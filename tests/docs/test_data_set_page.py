"""`docs/data-set.md` is what the code says, and its examples run."""

import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import rows
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.manifest import TABLES, commit_batch, prepare_manifests
from vexpress.schemas.query import run_query
from vexpress.schemas.views import VIEWS
from vexpress.tasks.curate.filter import RULES
from vexpress.tasks.reports.reasons import OF_FUNNEL, REASONS

FOLDER = Path(__file__).parents[2] / "docs"
PAGE = (FOLDER / "data-set.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^vexpress query DATASET .*$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A data set with one kept clip and one that is too short."""
    made = Dataset(tmp_path_factory.mktemp("docs") / "set")
    made.create()
    prepare_manifests(made)
    kept = rows.clip("c1", media_path="media/c1.mp4", yaw_p90_deg=4.0, sharpness=0.5)
    short = rows.clip("c2", status="rejected", reason="too_short")
    commit_batch(made, "w1", [kept, short, rows.scene(), rows.video()])
    return made


def test_the_page_is_what_the_code_says() -> None:
    generated: dict[str, Any] = runpy.run_path(str(FOLDER / "generate.py"))
    assert generated["page"]() == PAGE, "run: python docs/generate.py"


def test_there_are_three_examples() -> None:
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_answer(example: str, dataset: Dataset) -> None:
    *_, sql = shlex.split(example)
    assert run_query(dataset, sql).fetchall()


def test_every_view_says_what_it_answers() -> None:
    assert [view.name for view in VIEWS if not view.comment and not view.formerly] == []
    assert all(f"| `{view.name}` |" in PAGE for view in VIEWS)


def test_every_column_reason_and_threshold_is_on_the_page() -> None:
    for row_type in TABLES:
        part = PAGE.partition(f"\n### {row_type.TABLE}\n")[2].partition("\n## ")[0]
        assert all(f"| `{name}` |" in part for name in row_type.columns()), row_type.TABLE
    for reason in REASONS.keys() - OF_FUNNEL.keys():
        assert f"| `{reason}` | " in PAGE
    for rule in RULES:
        assert f"| `{rule.setting}` | `{rule.column}` | " in PAGE


def test_the_links_of_the_page_lead_to_its_headings() -> None:
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in re.findall(r"^#+ .*$", PAGE, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings
