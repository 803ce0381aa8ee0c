"""Settings laid over each other, and what is said of wrong ones."""

import logging
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, Field

from vexpress.schemas.commented import commented_yaml
from vexpress.schemas.errors import ConfigError
from vexpress.schemas.model import Model, formerly
from vexpress.schemas.settings import check, collect, load_settings


class Face(Model):
    min_side_px: int = Field(200, ge=1, le=4096)
    """Smallest side."""
    score: float | tuple[float, float] = 0.5
    """Least score, or two of them."""


class Chain(Model):
    face: Face = formerly("look", "face", Face())
    """What finds faces."""
    words: tuple[str, ...] = ("no", "a: b")
    """Words to look for."""
    note: str | None = None
    """Anything."""


def refused(**tree: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check(Chain, tree)
    return str(caught.value).splitlines()


def test_a_word_counts_more_than_an_option_than_the_file_than_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("face: {min_side_px: 2, score: 0.2}\nnote: file\nwords: [file]\n")
    loaded = load_settings(
        Chain,
        lambda given: {"face": {"min_side_px": 1}, "note": given["note"].upper()},
        file,
        {"face": {"score": 0.3}, "note": "option"},
        ["note=word", "words=[word]"],
    )
    assert loaded == Chain(face=Face(min_side_px=2, score=0.3), note="word", words=("word",))


def test_everything_wrong_is_said_at_once_with_full_paths() -> None:
    said = refused(face={"min_side_px": 0, "score": "high"}, words=["a", 3], notes="x")
    assert said == [
        "face.min_side_px: expected greater than or equal to 1, found 0",
        "face.score: expected a valid number, unable to parse string as a number or "
        "expected a valid tuple, found 'high'",
        "words.1: expected a valid string, found 3",
        "notes: no such setting. Did you mean `note`? Known here: face, note, words",
    ]


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (
            {"face": {"min_side": 3}},
            "face.min_side: no such setting. Did you mean `face.min_side_px`? "
            "Known here: min_side_px, score",
        ),
        (
            {"min_side_px": 3},
            "min_side_px: no such setting. Did you mean `face.min_side_px`? "
            "Known here: face, note, words",
        ),
        ({"xyz": 3}, "xyz: no such setting. Known here: face, note, words"),
        ({"face": 3}, "face: expected a group of settings (min_side_px, score), found 3"),
        ({"note": 3}, "note: expected a valid string, found 3"),
    ],
)
def test_an_unknown_name_comes_with_the_known_ones_and_the_nearest(
    tree: dict[str, object], words: str
) -> None:
    assert refused(**tree) == [words]


def test_a_former_name_is_taken_and_todays_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        given = collect(Chain, options={"face": {"score": 1}}, single=["look.min_side_px=3"])
    assert given == {"face": {"score": 1, "min_side_px": 3}}
    assert caplog.messages == ["setting `look` is called `face` now"]


@pytest.mark.parametrize("word", ["face", "=3", "face..score=1", ".=1"])
def test_a_word_that_sets_nothing_is_refused(word: str) -> None:
    with pytest.raises(
        ConfigError, match=r"expected group.key=value, such as face.min_side_px=200"
    ):
        collect(Chain, single=[word])


@pytest.mark.parametrize("text", ["a: [", "- a", "", "\x00"])
def test_a_file_without_settings_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"{file}: expected"):
        collect(Chain, file)


def test_a_whole_file_says_what_each_setting_means_and_is_read_back_as_it_was() -> None:
    settings = Chain(note="yes", face=Face(score=(1e-6, float("inf"))))
    text = commented_yaml(settings)
    assert Chain.model_validate(yaml.safe_load(text)) == settings
    assert text.splitlines() == [
        "# What finds faces.",
        "face:",
        "  # Smallest side. (at least 1, at most 4096, in px)",
        "  min_side_px: 200",
        "  # Least score, or two of them.",
        "  score: [1.0e-06, .inf]",
        "# Words to look for.",
        "words: ['no', 'a: b']",
        "# Anything.",
        "note: 'yes'",
    ]


def test_any_model_has_such_a_file() -> None:
    class Plain(BaseModel):
        table: dict[str, str] = {}

    for table in ({}, {"a": "b", "no": "1"}):
        text = commented_yaml(Plain(table=table))
        assert yaml.safe_load(text) == {"table": table}
        assert text.count("\n") == 1
