"""Other thresholds are tried in SQL with the verdicts of Python, and no step runs for them."""

import itertools
import random
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.helpers import rows
from vexpress.flows.cli.app import app
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.duplicate import Duplicate
from vexpress.schemas.manifest import commit_batch, prepare_manifests, write_part
from vexpress.schemas.query import run_query
from vexpress.tasks.curate.config import load_config
from vexpress.tasks.curate.filter import RULES, KeepRules, Rule, first_broken
from vexpress.tasks.curate.presets import PRESETS, Preset
from vexpress.tasks.reports.what_if import compare


def score_near(threshold: float, random_: random.Random) -> float:
    if isinstance(threshold, bool):
        return random_.random() < 0.5
    return threshold * random_.choice([0.5, 0.999, 1, 1.001, 2])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Four hundred clips with scores on both sides of every threshold, and some without."""
    made = Dataset(tmp_path_factory.mktemp("set") / "set")
    made.create()
    prepare_manifests(made)
    random_ = random.Random(1)
    thresholds: dict[str, list[float]] = {}
    for preset, rule in itertools.product(PRESETS, RULES):
        value = getattr(load_config(preset).keep, rule.setting)
        if value is not None:
            thresholds.setdefault(rule.column, []).append(value)
    clips = []
    for number in range(400):
        scores: dict[str, object] = {"media_path": f"media/{number}.mp4", "has_sound": True}
        broken = random_.sample(sorted(thresholds), 3)
        for column in broken:
            near = score_near(random_.choice(thresholds[column]), random_)
            scores[column] = random_.choice([near, None]) if column != "frames" else round(near)
        scores["has_sound"] = random_.random() > 0.05
        clips.append(rows.clip(f"c{number}", **scores))
    verdicts = {"status": "rejected", "reason": "several_faces", "faces": 2}
    clips.append(rows.clip("two", **verdicts))
    clips.append(rows.clip("error", status="rejected", reason="failed", is_error=True))
    clips.append(rows.clip("below", status="rejected", reason="too_short", frames=90))
    commit_batch(made, "w1", [*clips, rows.video()])
    return made


@pytest.mark.parametrize("preset", PRESETS)
def test_sql_and_python_judge_alike(dataset: Dataset, preset: Preset) -> None:
    keep = load_config(preset).keep
    expected: Counter[str] = Counter(several_faces=1, failed=1)
    columns = [*dict.fromkeys(rule.column for rule in RULES)]
    listed = ", ".join(columns)
    query = f"SELECT media_path, {listed} FROM clips WHERE clip_id NOT IN ('two', 'error')"
    for media, *scores in run_query(dataset, query).fetchall():
        verdict = first_broken(rows.clip(**dict(zip(columns, scores, strict=True))), keep)
        expected[verdict[0] if verdict else "kept" if media else "not_measured"] += 1
    found = compare(dataset, {preset: keep}).sums[preset]
    assert {name: total.clips for name, total in found.items()} == expected
    assert expected["kept"] > 5 and len(expected) > 5
    assert sum(total.seconds for total in found.values()) == pytest.approx(403 * 4)


def test_other_languages_are_tried_without_a_step(tmp_path: Path) -> None:
    made = Dataset(tmp_path / "set")
    made.create()
    prepare_manifests(made)
    spoken = {"a": "en", "b": "de", "c": "no", "d": None}
    clips = [rows.clip(c, media_path=f"media/{c}.mp4", language=x) for c, x in spoken.items()]
    commit_batch(made, "w1", [*clips, rows.video()])
    keep = KeepRules(languages=("en", "no"))
    found = compare(made, {"mine": keep})
    assert [c for c in clips if first_broken(c, keep)] == [clips[1]]
    assert {name: total.clips for name, total in found.sums["mine"].items()} == {
        "kept": 3,
        "language": 1,
    }
    assert found.unknown["mine"]["language"] == 1
    table = invoke("funnel", made.root, "--set", "keep.languages=[en, no]")
    assert "default changed: language is not known of 1 clip, which it lets pass" in table
    (line,) = [line for line in table.splitlines() if line.startswith("│ language")]
    assert "1 (0.1 min)" in line and "Another language" in line


def test_the_default_preset_is_the_programs_default() -> None:
    assert load_config("default").keep == KeepRules()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.setting)
def test_each_preset_is_stricter_than_the_one_before(rule: Rule) -> None:
    values = [getattr(load_config(name).keep, rule.setting) for name in PRESETS]
    for loose, tight in itertools.pairwise(values):
        assert rule.loosest(loose, tight) == loose


def test_looser_thresholds_keep_more(dataset: Dataset) -> None:
    sets = {name: load_config(name).keep for name in PRESETS}
    kept = [compare(dataset, sets).sums[name]["kept"].clips for name in PRESETS]
    assert kept[0] > kept[1] > kept[2] > 0


def test_what_is_not_known_is_said(dataset: Dataset) -> None:
    keep = KeepRules(max_yaw_p90_deg=None, min_sharpness=0.3)
    unknown = compare(dataset, {"mine": keep}).unknown["mine"]
    query = "SELECT count(*) FROM clips WHERE media_path IS NOT NULL AND sharpness IS NULL"
    assert unknown["sharpness"] == run_query(dataset, query).fetchall()[0][0] > 0
    assert "yaw_p90_deg" not in unknown, "nobody asks for it"


def test_a_data_set_without_the_newer_scores_can_be_asked(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    made = Dataset(tmp_path / "old")
    made.create()
    prepare_manifests(made)
    commit_batch(made, "w1", [rows.clip(media_path="media/c.mp4"), rows.video()])
    for part in Path(made.root).glob("manifests/clips/*.parquet"):
        pq.write_table(pq.read_table(part).drop(["yaw_p90_deg", "sharpness"]), part)
    found = compare(made, {"default": KeepRules()})
    assert found.sums["default"]["kept"].clips == 1
    assert found.unknown["default"]["yaw_p90_deg"] == 1


def invoke(*arguments: str) -> str:
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_the_table_has_a_column_a_preset(dataset: Dataset) -> None:
    table = invoke("funnel", dataset.root)
    for word in ("now", *PRESETS, "kept", "turned_away", "not_measured", "several_faces"):
        assert word in table
    assert "What" not in invoke("funnel", dataset.root, "--preset", "strict")
    changed = invoke("funnel", dataset.root, "--set", "keep.min_frames=1")
    assert "default changed" in changed and "strict" not in changed


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("crop.size=256", "expected a threshold, such as keep.min_frames=50"),
        ("keep.min_frame=3", "keep.min_frame: no such setting"),
        ("keep.languages=[klingon]", "expected a language as Whisper codes it"),
    ],
)
def test_what_is_no_threshold_is_refused(dataset: Dataset, setting: str, words: str) -> None:
    answer = CliRunner().invoke(app, ["funnel", dataset.root, "--set", setting])
    assert answer.exit_code == 2 and words in answer.output


def test_a_copy_is_one_only_where_the_better_copy_is_kept(tmp_path: Path) -> None:
    made = Dataset(tmp_path / "set")
    made.create()
    prepare_manifests(made)
    pair = [
        rows.clip("better", media_path="media/b.mp4", yaw_p90_deg=25.0),
        rows.clip("copy", media_path="media/c.mp4", yaw_p90_deg=5.0),
    ]
    commit_batch(made, "w1", [*pair, rows.video()])
    copy = Duplicate(
        clip_id="copy",
        duplicate_of="better",
        sound=0.9,
        picture=0.9,
        look=0.9,
        mirrored=False,
        speed=1.0,
        shift_s=0.0,
        overlap_s=4.0,
        note="a copy",
    )
    write_part(made, "manifests/duplicates/1.parquet", Duplicate, [copy])
    sets = {"25": KeepRules(max_yaw_p90_deg=25), "20": KeepRules(max_yaw_p90_deg=20)}
    sums = compare(made, sets).sums
    told = {name: {v: s.clips for v, s in found.items()} for name, found in sums.items()}
    assert told == {
        "now": {"kept": 1, "duplicate": 1},
        "25": {"kept": 1, "duplicate": 1},
        "20": {"kept": 1, "turned_away": 1},
    }
