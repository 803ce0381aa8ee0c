"""The folder of a training run: recognised when it is resumed."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.training_dataset import upload, write_dataset
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
