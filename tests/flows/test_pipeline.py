"""From raw videos to trained weights in one run: rendered videos, small random networks."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from diffusers import AutoencoderTiny
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_API_URL, temporary_settings
from typer.testing import CliRunner, Result

from tests.helpers.random_weights import write_weights
from tests.talking_heads import Face, Shot, Speech, VideoFormat, render
from vexpress.flows.cli.app import app
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import run_query
from vexpress.tasks.train.settings import make_settings
from vexpress.training.settings import STAGE_NAMES

TINIER = {
    "encoder_block_out_channels": (8,) * 4,
    "decoder_block_out_channels": (8,) * 4,
    "num_encoder_blocks": (1,) * 4,
    "num_decoder_blocks": (1,) * 4,
}
STAGE = {"steps": 2, "learning_rate": 1e-3}


def write_two(folder: Path) -> None:
    """Two videos of two people, since training exchanges the sound of clips."""
    folder.mkdir()
    size = VideoFormat(width=480, height=360)
    for name, identity, text in (
        ("one", "astronaut", "Every run that stops goes on where it was."),
        ("two", "narrow", "What is done once is never done again."),
    ):
        face = Face(width_px=150, identity=identity)
        shot = Shot(duration_s=2.4, faces=(face,), speech=(Speech(start_s=0.1, text=text),))
        render([shot], folder / f"{name}.mp4", size)


def pipeline_groups(weights: Path) -> dict[str, Any]:
    """Settings of a pipeline that ends within a minute."""
    return {
        "curate": {
            "faces": {"backend": "dlib"},
            "keep": {"min_face_side_px": 40},
            "crop": {"size": 128},
        },
        "train": {
            "start": str(weights),
            **{name: {**STAGE, "frames": 2} for name in STAGE_NAMES},
            "stage_1": {**STAGE, "batch": 2},
            "data": {"validation_share": 0, "validation_samples": 2, "reference_margin": 20},
            "gates": {"max_loss_ratio": 9, "min_audio_sensitivity": 0, "min_kps_sensitivity": 0},
        },
        "gate": {"min_kept_minutes": 0.03},
        "generate": {"parameters": {"steps": 1, "width": 64, "height": 64}},
    }


class Pipeline:
    """Gives the command over rendered videos."""

    def __init__(self, material: Path, folder: Path) -> None:
        self.folder = folder
        self.weights = write_weights(folder / "weights", material)
        write_two(folder / "videos")

    def __call__(self, *options: str) -> Result:
        file = self.folder / "pipeline.yaml"
        file.write_text(yaml.safe_dump(pipeline_groups(self.weights)))
        names = [str(self.folder / name) for name in ("videos", "dataset")]
        where = ["--out", str(self.folder / "run"), "--weights", str(self.weights)]
        settings = ["--preset", "permissive", "--train-preset", "tiny", "--config", str(file)]
        return CliRunner().invoke(app, ["pipeline", *names, *where, *settings, *options])


@pytest.fixture(scope="module")
def pipeline(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(material, tmp_path_factory.mktemp("pipeline"))


def test_a_gate_that_does_not_hold_stops_before_training_with_its_numbers(
    pipeline: Pipeline,
) -> None:
    result = pipeline("--sample", "0", "--set", "gate.min_kept_minutes=60")
    assert result.exit_code == 2, result.output
    assert "kept minutes: 0.08" in result.output and "expected ≥ 60" in result.output
    assert not (pipeline.folder / "run").exists()


def test_the_whole_way_leads_to_weights_of_the_snapshot_that_the_gate_saw(
    pipeline: Pipeline,
) -> None:
    result = pipeline("--sample", "1")
    assert result.exit_code == 0, result.output
    assert "done      curate, train, generate, evaluate" in result.output
    assert (pipeline.folder / "run/weights/v-express/motion_module.bin").is_file()
    data = Dataset(pipeline.folder / "dataset")
    sql = "SELECT snapshot FROM runs WHERE kind = 'curate'"
    ((snapshot,),) = run_query(data, sql).fetchall()
    assert json.loads((pipeline.folder / "run/run.json").read_text())["snapshot"] == snapshot
    made = "SELECT status, weights FROM generations"
    assert run_query(data, made).fetchall() == [("made", str(pipeline.folder / "run/weights"))]
    assert run_query(data, "SELECT DISTINCT weights FROM evaluations").fetchall() == [
        (str(pipeline.folder / "run/weights"),)
    ]


def test_given_again_it_does_nothing_again(pipeline: Pipeline) -> None:
    kinds = ("dataset/media/*", "run/stage_*/done*", "dataset/generations/*.mp4")
    files = [file for kind in kinds for file in pipeline.folder.glob(kind)]
    before = {file: file.stat().st_mtime_ns for file in files}
    assert pipeline("--sample", "1").exit_code == 0
    assert before and {file: file.stat().st_mtime_ns for file in before} == before


@pytest.fixture
def ray_elsewhere(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ray whose workers start in another folder than the run."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    monkeypatch.chdir(pipeline.folder)
    yield
    ray.shutdown()


def test_weights_named_by_relative_paths_are_found_by_workers_in_another_folder(
    pipeline: Pipeline, ray_elsewhere: None
) -> None:
    AutoencoderTiny(**TINIER).save_pretrained("taesd")
    asked = (
        "SELECT clip_id, 1 AS steps, 64 AS width, 64 AS height, TRUE AS preview FROM kept LIMIT 1"
    )
    options = ["--weights", "run/weights", "--set", "model.preview_vae=taesd"]
    command = ["generate-batch", asked, "dataset", *options, "--engine", "ray", "--workers", "1"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0 and "1 video made" in result.output, result.output
    made = "SELECT DISTINCT weights FROM generations"
    named = run_query(Dataset("dataset"), made).fetchall()
    assert named == [(str(pipeline.folder / "run/weights"),)]
    result = CliRunner().invoke(app, ["evaluate", "dataset", "--checkpoint", "run/weights/"])
    assert "1 video measured (1 had their numbers before)" in result.output, result.output


def test_a_training_run_of_another_snapshot_is_refused(pipeline: Pipeline) -> None:
    say = (Speech(start_s=0.1, text="A new video makes another state of the data set."),)
    shot = Shot(duration_s=2.4, faces=(Face(width_px=170, identity="narrow"),), speech=say)
    render([shot], pipeline.folder / "videos/three.mp4", VideoFormat(width=480, height=360))
    result = pipeline("--sample", "0")
    assert result.exit_code == 2 and "Train in a new folder" in result.output, result.output


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("gates.x=1", "Did you mean `gate`? Known here: curate, gate, generate, train"),
        ("gate.min_kept_hours=1", "gate.min_kept_hours"),
        ("curate.keep.min_framez=1", "curate.keep.min_framez: no such setting"),
        ("train.stage_1.stepz=1", "train.stage_1.stepz: no such setting"),
    ],
)
def test_wrong_settings_are_named_before_anything_starts(
    pipeline: Pipeline, setting: str, said: str
) -> None:
    result = pipeline("--set", setting)
    assert result.exit_code == 2 and said in result.output


def test_deployments_want_a_server_that_has_them_and_get_paths_that_mean_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["videos/*.mp4", "~/sets/dataset", "--out", "run", "--deployments"]
    words += ["--preset", "tiny", "--set", "train.start=weights", "--requests", "requests.csv"]
    result = CliRunner().invoke(app, ["pipeline", *words])
    assert result.exit_code == 2 and "expected a server in PREFECT_API_URL" in result.output
    with get_client(sync_client=True) as client:  # Prefect's own server, without deployments
        monkeypatch.setenv("PREFECT_API_URL", str(client.api_url))
        with temporary_settings({PREFECT_API_URL: str(client.api_url)}):
            result = CliRunner().invoke(app, ["pipeline", *words])
        assert result.exit_code == 2, result.output
        assert f"no deployment curate on {client.api_url}: run `vexpress up`" in result.output
        asked = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)[0].parameters
    assert asked["source"] == f"{tmp_path}/videos/*.mp4"
    assert asked["dataset"] == f"{Path.home()}/sets/dataset"
    assert (asked["run"], asked["requests"]) == (f"{tmp_path}/run", f"{tmp_path}/requests.csv")
    assert asked["train"]["start"] == f"{tmp_path}/weights"
    assert asked["sample"].startswith("SELECT") and asked["weights"] is None


def test_places_that_everybody_knows_stay_as_they_are(tmp_path: Path) -> None:
    from vexpress.flows.pipeline import name_everywhere

    asked = {"source": "s3://b/v", "dataset": "s3://b/d", "run": str(tmp_path), "weights": None}
    asked |= {"requests": "SELECT clip_id FROM kept", "train": make_settings("tiny", {})}
    assert name_everywhere(asked) == asked
