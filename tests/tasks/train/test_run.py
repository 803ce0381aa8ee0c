"""The folder of a training run: recognised when it is resumed."""

import json
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.training_dataset import upload, write_dataset
from vexpress.schemas.errors import ConfigError
from vexpress.tasks.train.run import CLIPS, absolute_paths, open_run
from vexpress.training.clips import ClipIndex
from vexpress.training.presets import tiny


def test_paths_are_absolute_for_workers_that_start_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = tiny().derive(start="weights/", vae="~/vae")
    source, run, settings = absolute_paths("lists/a.json", "run/", given)
    assert (source, run) == (str(tmp_path / "lists/a.json"), tmp_path / "run")
    assert (settings.start, settings.vae) == (tmp_path / "weights", Path.home().resolve() / "vae")
    source, _, settings = absolute_paths("s3://bucket/dataset", "run", tiny())
    assert source == "s3://bucket/dataset" and settings == tiny(), "nothing to make absolute"


def run_of_version_0_1(folder: Path, source: str) -> Path:
    """A run's folder as version 0.1 began it with the preset `tiny`."""
    folder.mkdir()
    noted = (Path(__file__).parent / "run_0_1.json").read_text()
    (folder / "run.json").write_text(noted.replace("SOURCE", source))
    return folder


def test_a_run_that_version_0_1_began_is_resumed_with_the_same_settings(tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "dataset", count=1).root
    run = run_of_version_0_1(tmp_path / "run", source)
    longer = tiny().stage_2.derive(steps=300)
    with pytest.raises(ConfigError) as refused:
        open_run(run, source, tiny().derive(stage_2=longer), [1])
    assert re.findall(r"^  (.*)$", str(refused.value), re.M) == ["stage_2.steps: was 200, is 300"]
    logged = tiny().engine.derive(loggers=("tensorboard",))
    for settings in (tiny(), tiny().derive(engine=logged)):
        open_run(run, source, settings, [1])
        assert (run / CLIPS).is_file()


def test_a_stage_that_a_run_was_begun_without_is_free_to_set(tmp_path: Path) -> None:
    source, run = write_dataset(tmp_path / "dataset", count=1).root, tmp_path / "run"
    run_of_version_0_1(run, source)
    note = json.loads((run / "run.json").read_text())
    del note["stage_3"]
    (run / "run.json").write_text(json.dumps(note))
    changed = tiny().derive(stage_3=tiny().stage_3.derive(steps=5))
    open_run(run, source, changed, [1])
    with pytest.raises(ConfigError, match=r"stage_3\.steps: was 5, is 6"):
        again = changed.derive(stage_3=changed.stage_3.derive(steps=6))
        open_run(run, source, again, [1])


def test_a_note_that_is_damaged_is_said(tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "dataset", count=1).root
    run = run_of_version_0_1(tmp_path / "run", source)
    (run / "run.json").write_text('{"source": "')
    with pytest.raises(ConfigError, match="is damaged"):
        open_run(run, source, tiny(), [1])


@contextmanager
def full_disk() -> Iterator[None]:
    """No more than 10 bytes can be written to a file meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_when_a_run_starts_leaves_it_as_it_was(tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "dataset", count=1).root
    run, settings = tmp_path / "run", tiny().derive(where="frames > 3")
    with full_disk(), pytest.raises(OSError, match="too large"):
        open_run(run, source, settings, [1])
    open_run(run, source, settings, [1])
    note = (run / "run.json").read_text()
    with full_disk():
        open_run(run, source, settings, [1])
        changed = settings.derive(gates={"max_loss_ratio": 2})
        with pytest.raises(OSError, match="too large"):
            open_run(run, source, changed, [1])
    assert (run / "run.json").read_text() == note
    open_run(run, source, changed, [1])
    assert (run / "run.json").read_text() != note, "what may change is noted"
    assert sorted(path.name for path in run.iterdir()) == ["clips.safetensors", "run.json"]


def test_clips_of_a_bucket_are_in_the_run_whatever_else_runs(bucket: str, tmp_path: Path) -> None:
    """A run that curates clears the scratch folder when it begins."""
    dataset, run = upload(write_dataset(tmp_path / "set"), f"{bucket}/set"), tmp_path / "run"
    (run / "files").mkdir(parents=True)
    (run / "files/half").touch()  # as a start that was killed leaves it
    open_run(run, dataset.root, tiny(), [1])
    dataset.clear_scratch()
    files = [
        Path(name) for clip in ClipIndex(run / CLIPS).clips for name in (clip.video, clip.sound)
    ]
    assert len(files) == 6 and all(file.parent == run / "files" for file in files)
    assert all(file.is_file() for file in files)
