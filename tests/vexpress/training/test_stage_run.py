"""Three stages on small clips: what changes, what stays, and what a kill does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers.small_training import small_settings
from vexpress.errors import CheckpointError
from vexpress.training.checkpoints import Checkpoints
from vexpress.training.metrics_log import read_metrics
from vexpress.training.model import TrainingModel
from vexpress.training.settings import STAGE_NAMES
from vexpress.training.stage_job import StageJob
from vexpress.training.stage_run import StageRun, TrainingDiverged
from vexpress.training.start_weights import saved_networks

CPU = torch.device("cpu")
STAGES = range(1, len(STAGE_NAMES) + 1)
ROOT = Path(__file__).parents[3]


def new_run(material: Path, folder: Path) -> Path:
    folder.mkdir()
    shutil.copy(material / "clips.safetensors", folder)
    return folder


def losses(run: Path, stage: int) -> list[tuple[int, float]]:
    metrics = read_metrics(run / f"stage_{stage}/metrics.jsonl")
    return [(line["step"], line["loss"]) for line in metrics if line["kind"] == "train"]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return TrainingModel(saved_networks(folder / "v-express")).state_dict()


@pytest.fixture(scope="module")
def unbroken(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run through all stages, in this process, never stopped."""
    run = new_run(material, tmp_path_factory.mktemp("runs") / "unbroken")
    settings = small_settings(material)
    for number in STAGES:
        StageRun(StageJob(run=run, number=number, settings=settings), CPU).run()
    return run


def changed(before: Path, after: Path) -> set[str]:
    old, new = weights(before), weights(after)
    return {name for name in old if not torch.equal(old[name], new[name])}


def is_audio(name: str) -> bool:
    return name.startswith("denoising_unet.") and (".attn2." in name or "blocks.0.norm2." in name)


def test_stage_1_changes_spatial_weights_alone(material: Path, unbroken: Path) -> None:
    names = changed(material / "start", unbroken / "stage_1/weights")
    zeroed = {n for n in names if ".attn2.to_out." in n}
    assert zeroed, "the outputs of audio attention start at zero"
    names -= zeroed
    assert not [n for n in names if "motion_modules" in n or is_audio(n)]
    assert not [n for n in names if n.startswith("audio_projection")]
    assert not [n for n in names if n.startswith("reference_net.up_blocks.1")], "the last block"
    for start in (
        "denoising_unet.up_blocks.1",
        "reference_net.up_blocks.0",
        "v_kps_guider.conv_out",
    ):
        assert [n for n in names if n.startswith(start)], f"{start} should have learned"


def test_stage_2_changes_sound_and_motion_alone(unbroken: Path) -> None:
    names = changed(unbroken / "stage_1/weights", unbroken / "stage_2/weights")
    assert not [n for n in names if n.startswith(("reference_net", "v_kps_guider"))]
    rest = [n for n in names if n.startswith("denoising_unet") and not is_audio(n)]
    assert rest and all("motion_modules" in n for n in rest)
    assert [n for n in names if is_audio(n)] and [n for n in names if "audio_projection" in n]


def test_stage_3_changes_all_of_them(unbroken: Path) -> None:
    names = changed(unbroken / "stage_2/weights", unbroken / "stage_3/weights")
    everything = set(weights(unbroken / "stage_2/weights"))
    same = {n for n in everything - names if not n.endswith("pos_encoder.pe")}
    allowed = ("reference_net.up_blocks.1", "reference_net.conv_out")
    idle = [n for n in same if not n.startswith(allowed) and ".attn2." not in n]
    assert idle == []
    assert not [n for n in same if n.startswith("denoising_unet")]


def test_stage_3_starts_from_exactly_what_stage_2_learned(
    material: Path, unbroken: Path, tmp_path: Path
) -> None:
    shutil.copytree(unbroken, tmp_path / "run", ignore=shutil.ignore_patterns("stage_3"))
    job = StageJob(run=tmp_path / "run", number=3, settings=small_settings(material))
    started = StageRun(job, CPU).model.state_dict()
    kept = Checkpoints(unbroken / "stage_2/checkpoints", 2).load(6)
    assert started.keys() == kept["model"].keys()
    for name, tensor in kept["model"].items():
        assert torch.equal(started[name], tensor), name
    assert any(t.any() for n, t in started.items() if "temporal_transformer.proj_out" in n)


def test_held_out_loss_and_sensitivities_are_measured(unbroken: Path) -> None:
    import json

    done = json.loads((unbroken / "stage_2/done.json").read_text())
    found = done["measurements"]
    assert done["held_out"] and done["lips"] == ["mouth corners of five points"]
    assert found["held_out_loss"] > 0 and found["held_out_loss_before"] > 0
    assert found["audio_sensitivity"] > 0 and found["kps_sensitivity"] > 0
    stage_1 = json.loads((unbroken / "stage_1/done.json").read_text())
    assert stage_1["measurements"]["audio_sensitivity"] == 0, "stage 1 does not hear"


def test_a_run_killed_in_every_stage_gives_the_same_losses(
    material: Path, unbroken: Path, tmp_path: Path
) -> None:
    run = new_run(material, tmp_path / "killed")
    settings = small_settings(material).model_dump_json()
    command = [sys.executable, str(ROOT / "tests/helpers/run_stages.py"), str(run), settings]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for stage in STAGES:
        assert losses(run, stage) == losses(unbroken, stage), f"stage {stage}"
    last = f"{STAGE_NAMES[-1]}/weights"
    assert not changed(run / last, unbroken / last)


def first_losses(material: Path, run: Path, **stage: object) -> list[float]:
    new_run(material, run)
    changes = {"steps": 2, "unconditional": 0.0, **stage}
    settings = small_settings(material, stage_2=changes).derive(
        start=material / "start", vae=material / "vae"
    )
    StageRun(StageJob(run=run, number=2, settings=settings), CPU).run()
    return [loss for _, loss in losses(run, 2)]


def test_batches_accumulation_and_checkpointing_give_one_loss(
    material: Path, tmp_path: Path
) -> None:
    whole = first_losses(material, tmp_path / "whole", batch=2)
    parts = first_losses(material, tmp_path / "parts", batch=1, accumulate=2)
    again = first_losses(
        material, tmp_path / "again", batch=2, gradient_checkpointing=True, ema_decay=0.9
    )
    assert parts == pytest.approx(whole, rel=1e-5)
    assert again == pytest.approx(whole, rel=1e-5)
    assert (tmp_path / "again/stage_2/weights_mean").is_dir()


def test_bfloat16_is_near_float32(material: Path, tmp_path: Path) -> None:
    plain = first_losses(material, tmp_path / "plain")
    half = first_losses(material, tmp_path / "half", precision="bfloat16")
    assert half == pytest.approx(plain, rel=0.03) and half != plain


def test_a_loss_that_is_no_number_stops_the_stage(material: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match="expected a finite loss, found"):
        first_losses(material, tmp_path / "run", steps=6, learning_rate=1e20)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    material: Path, unbroken: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    shutil.copytree(unbroken, run)
    newest = run / "stage_2/checkpoints/step-00000006/state.pt"
    newest.write_bytes(newest.read_bytes()[:-100])
    job = StageJob(run=run, number=2, settings=small_settings(material))
    stage = StageRun(job, CPU)
    assert stage.step == 4 and "step-00000006 is damaged" in caplog.text
    stage.run()
    assert losses(run, 2) == losses(unbroken, 2)


def test_a_checkpoint_is_mapped_while_it_is_taken_over_and_never_after(
    material: Path, unbroken: Path
) -> None:
    def mapped() -> bool:
        return str(unbroken / "stage_3/checkpoints") in Path("/proc/self/maps").read_text()

    state = Checkpoints(unbroken / "stage_3/checkpoints", 2).load(6)
    assert mapped(), "workers share it instead of reading it"
    del state
    job = StageJob(run=unbroken, number=3, settings=small_settings(material))
    stage = StageRun(job, CPU)
    assert stage.step == 6 and not mapped(), "it will be deleted while training goes on"


TWO_WORKERS = """
import sys
from pathlib import Path
import torch
from vexpress.training.stage_job import StageJob
from vexpress.training.settings import TrainSettings
from vexpress.training.stage_run import StageRun

def resume(rank, folder, settings):
    meeting = f"file://{folder}/meeting"
    torch.distributed.init_process_group("gloo", meeting, rank=rank, world_size=2)
    settings = TrainSettings.model_validate_json(settings)
    job = StageJob(run=Path(folder) / f"run{rank}", number=3, settings=settings)
    print(StageRun(job, torch.device("cpu")).step, flush=True)
    torch.distributed.destroy_process_group()

torch.multiprocessing.start_processes(resume, sys.argv[1:], nprocs=2, start_method="fork")
"""


def test_the_first_worker_checks_the_checkpoint_for_all(
    material: Path, unbroken: Path, tmp_path: Path
) -> None:
    """The second worker's copy has a wrong digest, which it would refuse if it looked."""
    for rank in (0, 1):
        shutil.copytree(unbroken, tmp_path / f"run{rank}")
    note = tmp_path / "run1/stage_3/checkpoints/step-00000006/checkpoint.json"
    note.write_text(note.read_text().replace('"sha256": "', '"sha256": "0'))
    settings = small_settings(material).model_dump_json()
    command = [sys.executable, "-c", TWO_WORKERS, str(tmp_path), settings]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.stdout.split() == ["6", "6"], done.stderr


def test_weights_are_written_where_those_it_started_from_are_gone(
    material: Path, tmp_path: Path
) -> None:
    start = shutil.copytree(material / "start", tmp_path / "start")
    run = new_run(material, tmp_path / "run")
    settings = small_settings(material, stage_1={"steps": 1}).derive(start=start)
    stage = StageRun(StageJob(run=run, number=1, settings=settings), CPU)
    shutil.rmtree(start)
    stage.run()
    for name, tensor in weights(run / "stage_1/weights").items():
        assert torch.equal(tensor, stage.model.state_dict()[name]), name


def test_nothing_but_damaged_checkpoints_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(1, {"step": 1})
    (tmp_path / "step-00000001/state.pt").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="Delete the folder"):
        checkpoints.newest_complete()


def test_only_the_last_checkpoints_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (1, 2, 3):
        checkpoints.save(step, {"step": step})
    assert checkpoints.steps() == [2, 3]
    assert checkpoints.newest_complete() == 3 and checkpoints.load(3) == {"step": 3}


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import torch
from vexpress.errors import CheckpointError
from vexpress.training.checkpoints import Checkpoints
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
checkpoints = Checkpoints(Path(sys.argv[1]), keep=1)
checkpoints.save(1, {"weights": torch.ones(10)})
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    checkpoints.save(2, {"weights": torch.ones(1_000_000)})
except CheckpointError as error:
    print(error)
"""


def test_a_disk_that_is_full_while_saving_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    """No more than 100 kB can be written to a file, as on a full disk."""
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert "the disk is full; that of step 1 is untouched" in answer.stdout, answer
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert Checkpoints(tmp_path, keep=1).newest_complete() == 1
    assert Checkpoints(tmp_path, keep=1).load(1)["weights"].sum() == 10
