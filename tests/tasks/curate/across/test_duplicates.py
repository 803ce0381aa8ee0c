"""Copies of a clip are found whatever was done to them, one is kept, all else is left alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import rows
from tests.helpers.made_up_fingerprints import ROOM, again, clip_fingerprint, talk
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.duplicate import Duplicate
from vexpress.schemas.manifest import commit_batch, newest_part, prepare_manifests
from vexpress.schemas.query import run_query
from vexpress.tasks.curate.across import duplicates
from vexpress.tasks.curate.across.duplicates import DuplicateConfig, find_duplicates
from vexpress.tasks.curate.across.match_clips import MatchRules, Series, is_copy, match
from vexpress.tasks.curate.scores.fingerprints import IS_ODD

Talk = tuple[np.ndarray, np.ndarray]


def stretched(values: np.ndarray, speed: float) -> np.ndarray:
    """Values (T, C) played at `speed`."""
    places = np.arange(0, len(values) - 1, speed)
    return np.stack([np.interp(places, range(len(values)), column) for column in values.T], axis=1)


CHANGES: dict[str, Callable[[Talk], Talk]] = {
    "the same": lambda t: again(t, 1),
    "trimmed": lambda t: again(t, 2, cut=13),
    "faster": lambda t: again((stretched(t[0], 1.02), stretched(t[1], 1.02)), 3),
    "slower": lambda t: again((stretched(t[0], 0.98), stretched(t[1], 0.98)), 4),
    "mirrored": lambda t: again((np.where(IS_ODD, -t[0], t[0]), t[1]), 5),
    "louder and darker": lambda t: again((t[0] * 0.7, t[1] + 10), 6),
}
NOTHING = np.zeros((0, 12))


def matched(a: Talk, b: Talk) -> tuple[bool, Any]:
    first, second = (Series(*(np.asarray(v, np.float32) for v in t)) for t in (a, b))
    found = match(first, second, MatchRules())
    return is_copy(found, MatchRules()), found


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_the_same_clip(change: str) -> None:
    copy, found = matched(talk(7), CHANGES[change](talk(7)))
    assert copy, found
    assert found.mirrored == (change == "mirrored")
    assert found.speed == pytest.approx({"faster": 1.02, "slower": 0.98}.get(change, 1), abs=0.006)
    assert found.shift_s == pytest.approx(1.04 if change == "trimmed" else 0, abs=0.09)


def test_another_talk_of_the_same_person_in_the_same_room_is_not() -> None:
    assert not any(matched(talk(7), talk(seed))[0] for seed in range(8, 20))


def test_picture_and_sound_must_agree() -> None:
    (picture, sound), (other_picture, other_sound) = talk(7), talk(8)
    assert not matched((picture, sound), (other_picture, sound))[0], "another camera"
    assert not matched((picture, sound), (picture, other_sound))[0], "another voice over it"
    assert matched((picture, sound), (picture, NOTHING))[0], "a copy without its sound"
    still = np.tile(ROOM, (100, 1))
    assert matched((still, sound), (still, sound))[0], "a portrait that does not move"
    assert not matched((still, NOTHING), (still, NOTHING))[0], "nothing to tell them apart by"
    assert not matched((still, sound), (-still, sound))[0], "two portraits, one voice"


def write(folder: Path, talks: dict[str, Talk], **changes: dict[str, Any]) -> Dataset:
    """A data set of clips with these fingerprints; `changes` are columns of single clips."""
    dataset = Dataset(folder)
    dataset.create()
    prepare_manifests(dataset)
    made: list[Any] = []
    for name, series in talks.items():
        columns = {"video_id": f"v{name}", "face_side_px": 200.0, **changes.get(name, {})}
        made += [rows.clip(name, "w", **columns), clip_fingerprint(name, series)]
        made.append(rows.video(f"v{name}", "w", source=f"/v/{name}"))
    commit_batch(dataset, "w", made)
    return dataset


def found_in(dataset: Dataset) -> dict[str, str]:
    answer = run_query(dataset, "SELECT clip_id, duplicate_of FROM duplicates ORDER BY clip_id")
    return dict(answer.fetchall())


@pytest.fixture(scope="module")
def crowd() -> dict[str, Talk]:
    """Five clips with all their copies among a hundred others of the same person and room."""
    talks = {f"other{n}": talk(1000 + n) for n in range(100)}
    for number in range(5):
        talks[f"a{number}"] = talk(number)
        talks |= {f"a{number} {name}": change(talk(number)) for name, change in CHANGES.items()}
    return talks


def test_every_copy_in_a_crowd_is_found_and_nobody_else(
    crowd: dict[str, Talk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []

    def counted(*arguments: Any) -> Any:
        compared.append(arguments)
        return match(*arguments)

    monkeypatch.setattr(duplicates, "match", counted)
    dataset = write(tmp_path / "set", crowd)
    assert find_duplicates(dataset, DuplicateConfig())
    expected = {name: name[:2] for name in crowd if " " in name}
    assert found_in(dataset) == expected
    assert len(expected) == 30
    assert len(compared) == 30, "of more than 9,000 pairs: by chance, too few codes are shared"


def test_the_order_of_clips_does_not_matter(crowd: dict[str, Talk], tmp_path: Path) -> None:
    names = list(crowd)
    np.random.default_rng(1).shuffle(names)
    sets = [crowd, {name: crowd[name] for name in names}]
    found = []
    for number, talks in enumerate(sets):
        dataset = write(tmp_path / str(number), talks)
        find_duplicates(dataset, DuplicateConfig())
        found.append(run_query(dataset, "SELECT * FROM duplicates ORDER BY ALL").fetchall())
    assert found[0] == found[1] and len(found[0]) == 30


def test_the_best_is_kept_and_the_view_says_why_the_others_are_not(tmp_path: Path) -> None:
    copies = {f"c{n}": again(talk(1), n) for n in range(4)}
    dataset = write(
        tmp_path / "set",
        copies,
        c0={"face_side_px": 320.0, "status": "rejected", "reason": "little_speech"},
        c2={"face_side_px": 260.0},
    )
    find_duplicates(dataset, DuplicateConfig())
    told = run_query(
        dataset, "SELECT clip_id, status, reason, detail FROM clips ORDER BY 1"
    ).fetchall()
    assert [(row[0], row[1], row[2]) for row in told] == [
        ("c0", "rejected", "little_speech"),
        ("c1", "rejected", "duplicate"),
        ("c2", "kept", None),
        ("c3", "rejected", "duplicate"),
    ]
    assert told[1][3].startswith("the same as c2 for 8.0 s (sound 0.9")
    funnel = run_query(dataset, "SELECT units FROM funnel WHERE reason = 'duplicate'").fetchall()
    assert funnel == [(2,)]
    # When the rules drop the kept one later, its copies count again until the next look.
    commit_batch(
        dataset,
        "w2",
        [
            rows.clip("c2", "w2", video_id="vc2", status="rejected", reason="too_short"),
            rows.video("vc2", "w2", source="/v/c2"),
        ],
    )
    kept = run_query(dataset, "SELECT clip_id FROM kept ORDER BY 1").fetchall()
    assert kept == [("c1",), ("c3",)]
    assert find_duplicates(dataset, DuplicateConfig())
    assert run_query(dataset, "SELECT clip_id FROM kept").fetchall() == [("c1",)]


def test_copies_whose_sound_was_repaired_are_the_same_and_the_unrepaired_is_kept(
    tmp_path: Path,
) -> None:
    """Fingerprints are of the source's sound: early and late there, in time in the clips."""
    picture, sound = talk(1)
    copies = {
        "early": again((picture, np.roll(sound, -3, axis=0)), 1),
        "late": again((picture, np.roll(sound, 3, axis=0)), 2),
    }
    repairs = {f: {"sync_repaired_frames": n} for f, n in {"early": -6.0, "late": 6.0}.items()}
    dataset = write(tmp_path / "two", copies, **repairs)
    find_duplicates(dataset, DuplicateConfig())
    assert found_in(dataset) == {"late": "early"}
    told = run_query(dataset, "SELECT shift_s, sound > 0.9, picture > 0.9 FROM duplicates")
    assert told.fetchall() == [(0.0, True, True)]
    dataset = write(tmp_path / "three", {**copies, "never": again(talk(1), 3)}, **repairs)
    find_duplicates(dataset, DuplicateConfig())
    assert found_in(dataset) == {"early": "never", "late": "never"}


@pytest.mark.parametrize(
    "worse",
    [
        {"has_sound": False, "face_side_px": 400.0},
        {"speech_share": 0.0, "face_side_px": 400.0},
        {"speech_share": 0.5, "det_score_mean": 0.99},
    ],
)
def test_the_copy_that_is_heard_is_the_best(worse: dict[str, Any], tmp_path: Path) -> None:
    heard = {"has_sound": True, "speech_share": 0.9, "det_score_mean": 0.9}
    talks = {"a": talk(1), "b": again(talk(1), 2)}
    dataset = write(tmp_path / "set", talks, a={**heard, **worse}, b=heard)
    find_duplicates(dataset, DuplicateConfig())
    assert found_in(dataset) == {"a": "b"}


def test_nothing_is_done_again_and_a_switch_turns_it_off(tmp_path: Path) -> None:
    dataset = write(tmp_path / "set", {"a": talk(1), "b": again(talk(1), 2)})
    assert find_duplicates(dataset, DuplicateConfig())
    part = newest_part(dataset, Duplicate)
    assert not find_duplicates(dataset, DuplicateConfig())
    assert newest_part(dataset, Duplicate) == part
    assert found_in(dataset) == {"b": "a"}
    assert find_duplicates(dataset, DuplicateConfig(find=False))
    assert found_in(dataset) == {}
    assert run_query(dataset, "SELECT count(*) FROM kept").fetchall() == [(2,)]


def test_many_copies_of_one_clip_are_one(tmp_path: Path) -> None:
    """More than a code links at once: they hang together in a chain."""
    dataset = write(tmp_path / "set", {f"c{n:02}": again(talk(1), n) for n in range(60)})
    find_duplicates(dataset, DuplicateConfig())
    assert set(found_in(dataset).values()) == {"c00"} and len(found_in(dataset)) == 59
