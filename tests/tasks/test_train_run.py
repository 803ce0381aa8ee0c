"""The folder of a training run: recognised when it is resumed."""

from pathlib import Path

import pytest

from tasks.train_run import absolute_paths
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
