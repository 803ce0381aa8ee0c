"""`vexpress config`, and one kind of answer to a wrong setting from every command."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from typer.testing import CliRunner, Result

from vexpress.flows.cli.app import app
from vexpress.flows.cli.config import COMMANDS, settings_of
from vexpress.flows.cli.generate import load, request_of
from vexpress.flows.cli.pipeline import named_presets
from vexpress.flows.settings import load_pipeline, load_train
from vexpress.inference.request import Request
from vexpress.inference.settings import FAST, FAST_SOLVER, ModelChoice
from vexpress.schemas.settings import load_settings
from vexpress.tasks.curate.config import load_config
from vexpress.tasks.evaluate.plan import EvaluateConfig
from vexpress.tasks.generate.config import GenerateConfig, Parameters

PRINTED: list[tuple[str, ...]] = [
    *(("curate", "--preset", name) for name in ("permissive", "default", "strict")),
    *(("train", "--preset", name) for name in ("tiny", "full")),
    *(("generate-batch", "--preset", name) for name in ("published", "tiny")),
    ("generate",),
    ("evaluate",),
    ("pipeline",),
    ("pipeline", "--preset", "strict", "--train-preset", "tiny"),
]
OUT = ("--out", "no/run")
INPUTS = ("--reference", "no.png", "--audio", "no.wav", "--out", "no/video.mp4")
LINES = {
    "curate": ("curate", "no/videos", "no/set"),
    "funnel": ("funnel", "no/set"),
    "extract-kps": ("extract-kps", "no.mp4", "--kps", "no/kps.pth"),
    "train": ("train", "no/set", *OUT, "--preset", "tiny"),
    "generate": ("generate", *INPUTS),
    "generate-batch": ("generate-batch", "no.csv", "no/set"),
    "pipeline": ("pipeline", "no/videos", "no/set", *OUT),
    "evaluate": ("evaluate", "no/set"),
}
MISSPELT = {
    "curate": "keep.min_frame",
    "funnel": "keep.min_frame",
    "extract-kps": "faces.modle",
    "train": "stage_2.stepz",
    "generate": "parameters.windw",
    "generate-batch": "limits.sound",
    "pipeline": "curate.keep.min_frame",
    "evaluate": "measure.identify",
}


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def read_back(command: str, file: Path) -> BaseModel:
    """The settings that `command --config FILE` works with."""
    if command == "curate":
        return load_config(file=file)
    if command == "train":
        return load_train(None, file, {}, [])
    if command == "pipeline":
        return load_pipeline("default", None, file, [])
    kind = EvaluateConfig if command == "evaluate" else GenerateConfig
    return load_settings(kind, file=file)


@pytest.mark.parametrize("words", PRINTED, ids=" ".join)
def test_a_printed_file_given_back_gives_the_same_settings(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    printed = invoke("config", *words)
    assert printed.exit_code == 0, printed.output
    file = tmp_path / "settings.yaml"
    file.write_text(printed.stdout)
    presets = dict(zip(words[1::2], words[2::2], strict=True))
    wanted = settings_of(words[0], presets.get("--preset"), presets.get("--train-preset"))
    assert read_back(words[0], file) == wanted
    assert names_of(yaml.safe_load(printed.stdout)) == fields_of(wanted)


def names_of(tree: dict[str, Any], above: str = "") -> set[str]:
    """Every setting of a file by its full path; groups are followed where they have names."""
    found = set()
    for name, value in tree.items():
        path = f"{above}{name}"
        found |= names_of(value, f"{path}.") if isinstance(value, dict) else {path}
    return found


def fields_of(settings: BaseModel, above: str = "") -> set[str]:
    """Every setting of the models by its full path, also those that are left out of dumps."""
    found = set()
    for name in type(settings).model_fields:
        value, path = getattr(settings, name), f"{above}{name}"
        found |= fields_of(value, f"{path}.") if isinstance(value, BaseModel) else {path}
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_every_setting_is_printed_with_what_it_means(command: str) -> None:
    lines = invoke("config", command).stdout.splitlines()
    settings = [number for number, line in enumerate(lines) if not line.lstrip().startswith("#")]
    bare = [lines[number] for number in settings if not lines[number - 1].lstrip().startswith("#")]
    assert settings and bare == []
    assert max(len(line) for line in lines if line.lstrip().startswith("#")) <= 100


def test_choices_and_bounds_are_printed() -> None:
    text = invoke("config", "generate").stdout
    assert re.search(r"# Denoising steps. \(at least 1, at most 1000\)\n +steps: 25\n", text)
    assert "(one of ddim, unipc, dpmpp)\n" in text
    for wrong in (["generat"], ["evaluate", "--preset", "strict"], ["curate", "--preset", "x"]):
        answer = invoke("config", *wrong)
        assert answer.exit_code == 2 and "vexpress: " in answer.stderr, answer.output


@pytest.mark.parametrize(
    ("command", "way"),
    [
        *((command, "--set") for command in MISSPELT),
        *((command, "--config") for command in MISSPELT if command != "extract-kps"),
    ],
)
def test_every_command_answers_a_misspelt_setting_in_the_same_way(
    command: str, way: str, tmp_path: Path
) -> None:
    name = MISSPELT[command]
    given = f"{name}=3"
    if way == "--config":
        tree: object = 3
        for key in reversed(name.split(".")):
            tree = {key: tree}
        (tmp_path / "settings.yaml").write_text(yaml.safe_dump(tree))
        given = str(tmp_path / "settings.yaml")
    answer = invoke(*LINES[command], way, given)
    assert answer.exit_code == 2, answer.output
    group = re.escape(name.rpartition(".")[0])
    assert re.fullmatch(
        rf"vexpress: {re.escape(name)}: no such setting\. "
        rf"Did you mean `{group}\.\w+`\? Known here: \w+(, \w+)*\n",
        answer.stderr,
    )


@pytest.mark.parametrize("command", ["generate", "generate-batch", "train", "curate", "evaluate"])
def test_a_wrong_option_is_answered_as_a_wrong_setting(command: str) -> None:
    option, said = {
        "generate": ("--steps=0", "parameters.steps: expected greater than or equal to 1, found 0"),
        "generate-batch": ("--workers=0", "workers.count: expected greater than or equal to 1"),
        "train": ("--workers=0", "engine.workers: expected greater than or equal to 1, found 0"),
        "curate": ("--engine=rai", "engine.kind: expected 'local' or 'ray', found 'rai'"),
        "evaluate": ("--engine=rai", "engine.kind: expected 'local' or 'ray', found 'rai'"),
    }[command]
    answer = invoke(*LINES[command], option)
    assert answer.exit_code == 2 and f"vexpress: {said}" in answer.stderr, answer.output


def test_a_former_setting_is_taken_and_its_new_name_said(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    words = ["curate", str(tmp_path / "videos"), str(tmp_path / "set"), "--dry-run"]
    words += ["--set", "faces.backend=dlib", "--set", "floor.min_frames=9"]
    command = [sys.executable, "-m", "vexpress.flows.cli.app", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stderr.count("setting `floor` is called `pre_filter` now") == 1, done.stderr


def test_former_names_of_the_pipelines_presets_are_taken_and_todays_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert named_presets("tiny", None, "strict") == ("strict", "tiny")
    said = capsys.readouterr().err
    assert "`--rules strict` is called `--preset strict` now" in said
    assert "`--preset tiny` is called `--train-preset tiny` now" in said
    assert named_presets("strict", "tiny", None) == ("strict", "tiny")
    assert capsys.readouterr().err == ""


def test_the_preset_of_a_training_is_the_options_else_the_files(tmp_path: Path) -> None:
    file = tmp_path / "train.yaml"
    file.write_text("preset: tiny\nstage_1: {steps: 7}\n")
    assert load_train(None, file, {}, []) == load_train("tiny", None, {}, ["stage_1.steps=7"])
    full = load_train("full", file, {}, [])
    assert (full.preset, full.data.image_size, full.stage_1.steps) == ("full", 512, 7)


def options_of_generate(**given: object) -> dict[str, object]:
    return {"save_gpu_memory": False, "fast": False, **given}


def test_generate_without_options_is_as_the_models_say() -> None:
    loaded = load(options_of_generate())
    assert loaded == GenerateConfig()
    inputs = {name: Path(name) for name in ("reference", "audio", "out")}
    assert request_of(inputs, loaded.parameters) == Request(**inputs)


def test_generate_reads_the_file_of_a_batch_under_its_options(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("model: {dtype: bf16}\nparameters: {steps: 7, width: 256, strategy: null}\n")
    given = options_of_generate(config=file, size="64x96", height=128, preview_vae=Path("taesd"))
    loaded = load({**given, "settings": ["parameters.seed=1"], "save_gpu_memory": True})
    assert loaded.model == ModelChoice(dtype="bf16", preview_vae="taesd")
    assert loaded.parameters == Parameters(
        steps=7, width=64, height=128, seed=1, preview=True, memory="low"
    )


def test_fast_is_its_solver_and_fewer_steps() -> None:
    loaded = load(options_of_generate(fast=True, guidance=2.0))
    assert loaded.parameters == Parameters(guidance=2.0, **FAST)
    assert loaded.model == ModelChoice(solver=FAST_SOLVER)


def test_options_that_a_batch_is_not_given_leave_the_file_as_it_is(tmp_path: Path) -> None:
    """Version 0.1 laid the options' own defaults over the file."""
    (tmp_path / "requests.csv").write_text("clip_id\nnone\n")
    (tmp_path / "settings.yaml").write_text("workers: {count: 0}\n")
    words = ["generate-batch", str(tmp_path / "requests.csv"), str(tmp_path / "set")]
    answer = invoke(*words, "--config", str(tmp_path / "settings.yaml"))
    assert answer.exit_code == 2 and "workers.count: expected" in answer.stderr


SHOWN = {"--steps": "25", "--overlap": "4", "--retarget": "fix_face", "--size": "512x512"}


def test_help_shows_the_models_defaults_and_choices() -> None:
    answer = CliRunner().invoke(app, ["generate", "--help"], env={"COLUMNS": "200"})
    text = " ".join(answer.stdout.replace("│", " ").split())
    for word, default in SHOWN.items():
        assert re.search(rf"{word}.*?\[default: \({default}\)\]", text), word
    assert "[ddim|unipc|dpmpp]" in text and "PydanticUndefined" not in text
