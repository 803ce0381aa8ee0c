"""Both engines give the same rows; what goes wrong with one row stays with that row."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.helpers.made_up_steps import Behave, Behaviour
from tests.helpers.steps import SMALL_CROP, candidates
from tests.tasks.conftest import Rendered
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import ConfigError, FullDisk
from vexpress.schemas.video import Video
from vexpress.tasks.curate.crop import CropClip
from vexpress.tasks.engine.engine import EngineConfig, LocalEngine, RayEngine, Stage
from vexpress.tasks.engine.step import Context
from vexpress.tasks.engine.units import Source

NAMES = ["a", "divide", "b", "reject", "c"]


def stage(word: str = "fine") -> Stage:
    return Stage(((Behave, Behaviour(word=word)),))


def told(engine: LocalEngine | RayEngine, names: list[str], *stages: Stage) -> dict[str, Video]:
    """Answers by source."""
    answers = list(engine.run(list(stages), [Source(uri=name) for name in names]))
    found = {answer.source: answer for answer in answers if isinstance(answer, Video)}
    assert len(found) == len(answers) == len(names)
    return found


@pytest.fixture
def local(context: Context) -> Iterator[LocalEngine]:
    """The engine of this process."""
    engine = LocalEngine(EngineConfig(), context)
    yield engine
    engine.close()


def check_failures(found: dict[str, Video]) -> None:
    assert [found[name].detail for name in "abc"] == ["fine"] * 3
    failed, ugly = found["divide"], found["reject"]
    assert (failed.status, failed.reason, failed.is_error) == ("rejected", "failed", True)
    assert failed.detail == "step behave: ZeroDivisionError: by nothing"
    assert (ugly.status, ugly.reason, ugly.is_error) == ("rejected", "ugly", False)
    assert ugly.detail == "expected beauty, found none"


def test_an_unknown_exception_is_a_failed_row_and_the_run_goes_on(local: LocalEngine) -> None:
    check_failures(told(local, NAMES, stage()))


def test_failures_are_done_until_they_are_forgotten(local: LocalEngine) -> None:
    told(local, NAMES, stage())
    told(local, NAMES, stage())
    tally = local.ledger.tallies()["behave"]
    assert (tally.run, tally.reused) == (5, 5)
    local.ledger.forget_failures()
    told(local, NAMES, stage())
    assert (tally.run, tally.reused) == (6, 9), "the one that failed, not the one rejected"


def test_rows_that_are_rejected_pass_by_the_steps_after(local: LocalEngine) -> None:
    rejected = Video(video_id="v", source="/v", status="rejected", reason="empty")
    assert list(local.run([stage(), stage("again")], [rejected])) == [rejected]


def test_stages_are_opened_once_and_never_mistaken_for_another(local: LocalEngine) -> None:
    Behave.opened.clear()
    for batch in range(30):
        for word in ("one", "two"):
            found = told(local, [f"{word} {batch}"], stage(word))
            assert found[f"{word} {batch}"].detail == word
    assert Behave.opened == ["one", "two"]


def test_an_error_of_the_disk_stops_the_run(local: LocalEngine) -> None:
    with pytest.raises(FullDisk, match=r"No space left on device\. Make room, then run again"):
        told(local, ["a", "full", "b"], stage())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_stops_the_run_and_leaves_no_part(
    small_disk: Path, four_shots: Rendered, tmp_path: Path
) -> None:
    dataset = Dataset(small_disk / "set")
    dataset.create()
    candidate = candidates(four_shots.detected_video, tmp_path)[0]
    step = CropClip(SMALL_CROP.model_copy(update={"crf": 0}), Context(dataset))
    with pytest.raises(FullDisk, match=r"No space left on device\. Make room") as caught:
        step.guarded(candidate, step)
    assert str(small_disk) in str(caught.value)
    assert dataset.names("media/*") == []
    assert list(dataset.scratch.iterdir()) == []


def test_a_gpu_that_is_not_there_is_refused_at_once(context: Context) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError, match=r"gpus_per_worker=0\.5: expected a CUDA device here"):
        LocalEngine(EngineConfig(gpus_per_worker=0.5), context)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray on this machine, for this module."""
    import ray

    ray.init(address="local", num_cpus=2, num_gpus=0, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.fixture
def on_ray(cluster: None, context: Context) -> Iterator[RayEngine]:
    """The engine on that Ray, with one worker a stage."""
    engine = RayEngine(EngineConfig(kind="ray", max_workers=1), context)
    yield engine
    engine.close()


STOPPED = """
import signal
from vexpress.tasks.engine.ray_cluster import start_ray

class Told(BaseException):
    pass

def tell(number, frame):
    raise Told

signal.signal(signal.SIGTERM, tell)
try:
    start_ray()
except Told:
    print("told")
"""


def test_a_run_that_is_stopped_while_ray_starts_is_told_so_and_leaves_no_process() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    command = [sys.executable, "-c", STOPPED]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    process = psutil.Process(run.pid)
    while not (family := process.children(recursive=True)):
        assert run.poll() is None
        time.sleep(0.02)
    run.terminate()
    assert run.communicate(timeout=60)[0] == "told\n"
    assert psutil.wait_procs(family, timeout=10)[1] == []


def test_a_worker_that_dies_costs_one_row(on_ray: RayEngine) -> None:
    found = told(on_ray, [*NAMES, "die"], stage())
    check_failures(found)
    dead = found["die"]
    assert (dead.status, dead.reason, dead.is_error) == ("rejected", "crashed", True)
    assert dead.detail == "step behave: its worker died 3 times on this input"
    again = told(on_ray, [*NAMES, "die"], stage())
    assert again == found
    assert on_ray.ledger.tallies()["behave"].reused >= 6


def test_a_gpu_that_no_node_has_is_refused_at_once(cluster: None, context: Context) -> None:
    config = EngineConfig(kind="ray", gpus_per_worker=0.5)
    engine = RayEngine(config, context)
    with pytest.raises(ConfigError, match=r"expected a node with that many GPUs, found at most 0"):
        told(engine, ["a"], stage())
    engine.close()


def test_an_error_of_the_disk_stops_a_run_on_ray(
    on_ray: RayEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FullDisk, match="No space left on device") as caught:
        told(on_ray, ["a", "full"], stage())
    assert type(caught.value) is FullDisk, "and no error of Ray's that is one, too"
    assert str(caught.value).endswith("Make room, then run again: what is done stays done.")
    assert "An exception was raised" not in "".join(capfd.readouterr()), "no report of Ray's own"


def test_settings_of_a_run_of_version_0_1_are_read() -> None:
    assert EngineConfig.model_validate({"wave_videos": 7}) == EngineConfig(batch_videos=7)
