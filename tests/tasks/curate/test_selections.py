"""A selection is a list under a name, made once: training and exports take it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.helpers import rows
from tests.helpers.training_dataset import write_dataset
from vexpress.flows.cli.app import app
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import QueryError, SelectionError
from vexpress.schemas.manifest import commit_batch, prepare_manifests, write_part
from vexpress.schemas.person import ClipPerson
from vexpress.schemas.query import run_query
from vexpress.tasks.curate.selections import make_selection, read_selections, within_selection
from vexpress.tasks.train.clips import gather_clips


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Three kept clips and one rejected."""
    made = Dataset(tmp_path / "set")
    made.create()
    prepare_manifests(made)
    commit_batch(made, "w1", [*clips(), rows.video()])
    return made


def clips(**changes: object) -> list[rows.Clip]:
    kept = [rows.clip(f"c{n}", frames=100 + n, **changes) for n in range(3)]
    return [*kept, rows.clip("lost", status="rejected", reason="too_short")]


def test_a_selection_stays_as_it_was_when_the_data_set_grows(dataset: Dataset) -> None:
    sql = "SELECT clip_id FROM kept WHERE frames > 100"
    made = make_selection(dataset, "long-ones", sql)
    assert (made.clip_ids, made.clips, made.seconds, made.sql) == (["c1", "c2"], 2, 8.0, sql)
    commit_batch(dataset, "w2", [*clips(batch_id="w2"), rows.clip("new", "w2", frames=999)])
    commit_batch(
        dataset, "w2", [*clips(batch_id="w2"), rows.clip("new", "w2"), rows.video("v1", "w2")]
    )
    assert len(run_query(dataset, "SELECT * FROM kept").fetchall()) == 4
    listed = run_query(dataset, "SELECT clip_id FROM selected WHERE name = 'long-ones'").fetchall()
    assert sorted(listed) == [("c1",), ("c2",)]
    (known,) = read_selections(dataset)
    assert (known.name, known.clips, known.sql, known.selected_at) == (
        "long-ones",
        2,
        sql,
        made.selected_at,
    )


def test_a_person_gets_so_many_minutes_in_the_order_of_the_answer(dataset: Dataset) -> None:
    spans = [rows.clip(f"p{n}", end_s=20.0 * (n + 1), start_s=20.0 * n) for n in range(5)]
    commit_batch(dataset, "w1", [*spans, rows.video()])
    who = [("p0", "a"), ("p1", "a"), ("p2", "a"), ("p3", "b")]
    seen = [ClipPerson(clip_id=c, person_id=p, distance=0, backend="test") for c, p in who]
    write_part(dataset, "manifests/persons/1.parquet", ClipPerson, seen)
    sql = "FROM kept ORDER BY clip_id DESC"
    made = make_selection(dataset, "even", sql, per_person_minutes=0.7)
    assert made.clip_ids == ["p1", "p2", "p3", "p4"], "p4's person is not known"
    assert (made.seconds, made.per_person_minutes) == (80.0, 0.7)
    with pytest.raises(SelectionError, match=r"expected a clip of at most 0\.1 minutes"):
        make_selection(dataset, "none", f"{sql} OFFSET 1", per_person_minutes=0.1)
    asked = "SELECT value, clips, round(share, 2) FROM balance WHERE dimension = 'person'"
    balance = run_query(dataset, asked).fetchall()
    assert balance == [("a", 3, 0.6), ("b", 1, 0.2), ("not known", 1, 0.2)]


@pytest.mark.parametrize(
    ("name", "sql", "words"),
    [
        ("../evil", "SELECT clip_id FROM kept", "expected a small letter"),
        ("0-columns", "SELECT clip_id FROM kept", "expected a small letter"),
        ("Big", "SELECT clip_id FROM kept", "expected a small letter"),
        ("x" * 64, "SELECT clip_id FROM kept", "expected a small letter"),
        ("taken", "SELECT clip_id FROM kept", "selection taken is there already"),
        ("p", "SELECT frames FROM kept", "answers with clip_id.*found the columns frames"),
        ("p", "SELECT clip_id FROM kept WHERE false", "expected at least one clip"),
        ("p", "SELECT clip_id FROM clips", "clips that are kept, found 1 others: 1 too_short"),
        ("p", "SELECT 'no' AS clip_id", "found 1 others: 1 no such clip"),
        ("p", "SELECT 1 AS clip_id", "found 1 others: 1 no such clip"),
    ],
)
def test_what_cannot_be_selected_is_said_and_leaves_nothing(
    dataset: Dataset, name: str, sql: str, words: str
) -> None:
    make_selection(dataset, "taken", "SELECT clip_id FROM kept WHERE clip_id = 'c0'")
    with pytest.raises(SelectionError, match=words):
        make_selection(dataset, name, sql)
    assert [(p.name, p.clips) for p in read_selections(dataset)] == [("taken", 1)]


def test_a_wrong_question_or_one_that_writes_is_refused(dataset: Dataset) -> None:
    cast = "SELECT clip_id FROM kept WHERE source::INT > 3"
    for sql in ("SELECT clip_id FROM nowhere", "COPY clips TO 'x.csv'", cast, ""):
        with pytest.raises(QueryError):
            make_selection(dataset, "p", sql)


def test_a_selection_can_be_replaced(dataset: Dataset) -> None:
    make_selection(dataset, "p", "SELECT clip_id FROM kept")
    make_selection(dataset, "p", "SELECT clip_id FROM kept WHERE clip_id = 'c1'", replace=True)
    assert [p.clips for p in read_selections(dataset)] == [1]


def test_a_selection_whose_clips_are_not_kept_any_more_is_refused(dataset: Dataset) -> None:
    make_selection(dataset, "p", "SELECT clip_id FROM kept")
    stricter = [
        rows.clip("c0", "w2", status="rejected", reason="blurred"),
        *clips(batch_id="w2")[1:],
    ]
    commit_batch(dataset, "w2", [*stricter, rows.video("v1", "w2")])
    with pytest.raises(
        SelectionError, match=r"selection p: expected clips that are kept.*1 blurred"
    ):
        within_selection(dataset, "p")
    with pytest.raises(SelectionError, match=r"selection q: expected one of .* found: p"):
        within_selection(dataset, "q")


def test_training_and_the_export_take_a_selection(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "dataset")
    run = CliRunner().invoke
    sql = "SELECT clip_id FROM kept WHERE clip_id <> 'clip1'"
    made = run(app, ["select", dataset.root, sql, "--name", "two"])
    assert made.exit_code == 0 and made.output.startswith("two: 2 clips, ")
    chosen = gather_clips(dataset, within_selection(dataset, "two", "frames > 0"))
    assert [clip.files.clip_id for clip in chosen] == ["clip0", "clip2"]
    out = str(tmp_path / "list")
    exported = run(
        app, ["export", dataset.root, out, "--to", "vexpress-json", "--selection", "two"]
    )
    assert exported.exit_code == 0, exported.output
    text = (tmp_path / "list/list.json").read_text()
    assert "clip0" in text and "clip2" in text and "clip1" not in text
    listed = run(app, ["select", dataset.root])
    assert listed.exit_code == 0 and "two" in listed.output and "clip1" in listed.output
    wrong = run(app, ["select", dataset.root, sql])
    assert wrong.exit_code == 2 and "--name NAME" in wrong.output


def test_the_words_of_version_0_1_work_and_say_the_new_ones(
    dataset: Dataset, tmp_path: Path
) -> None:
    run = CliRunner().invoke
    made = run(app, ["pick", dataset.root, "SELECT clip_id FROM kept", "--name", "all"])
    assert made.stdout.startswith("all: 3 clips") and made.exit_code == 0
    assert made.stderr == "`vexpress pick` is called `vexpress select` now\n"
    assert "all" in run(app, ["pick", dataset.root]).stdout
    out = str(tmp_path / "list")
    for option, said in (("--pick", "`--pick` is called `--selection` now\n"), ("--selection", "")):
        wrong = run(app, ["export", dataset.root, out, "--to", "vexpress-json", option, "none"])
        assert wrong.exit_code == 2 and wrong.stderr.startswith(said)
        assert "selection none: expected one of this data set's selections" in wrong.stderr
    helps = run(app, ["--help"]).stdout + run(app, ["export", "--help"]).stdout
    assert " select " in helps and "--selection" in helps
    assert " pick " not in helps and "--pick" not in helps
