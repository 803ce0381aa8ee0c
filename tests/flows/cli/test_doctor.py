"""What the doctor says of this machine, and what its exit code says."""

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from vexpress.flows.cli.app import app
from vexpress.flows.cli.checks.check import Check, Setup
from vexpress.flows.cli.checks.diagnose import verdict
from vexpress.flows.cli.checks.machine import check_dataset, memory
from vexpress.flows.cli.checks.models import check_components, check_weights
from vexpress.flows.cli.checks.services import check_ray
from vexpress.flows.cli.running import ask_server

Memory = namedtuple("Memory", "total available")


def ask(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of `vexpress doctor --json`."""
    result = CliRunner().invoke(app, ["doctor", "--json", *arguments])
    return result.exit_code, json.loads(result.stdout)


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine on which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def line(checks: list[Check], name: str) -> Check:
    return next(check for check in checks if check.name == name)


def test_this_machine_can_curate_on_its_cpu(tmp_path: Path) -> None:
    code, answer = ask("--dataset", str(tmp_path / "set"))
    checks = {check["name"]: check for check in answer["checks"]}
    assert code == 0 and answer["can_run"]
    assert answer["sentence"].startswith(
        "This machine can curate with the local engine on the CPU."
    )
    assert checks["encoders"]["found"] == "libx264, aac"
    assert checks["speech (Silero VAD)"]["state"] == "ok"
    assert {check["state"] for check in checks.values()} <= {"ok", "missing", "not needed"}
    assert all(check["todo"] for check in checks.values() if check["state"] != "ok")
    assert not (tmp_path / "set").exists(), "nothing is written"


@pytest.mark.assets
def test_the_doctor_knows_both_back_ends_of_transcription(
    assets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VEXPRESS_WHISPERX", sys.executable)
    without = check_components(Setup())
    assert line(without, "transcription (faster-whisper)").state == "not needed"
    assert "make whisperx" in line(without, "transcription (whisperx)").todo
    found = line(
        check_components(Setup(weights=assets / "models")), "transcription (faster-whisper)"
    )
    assert (found.state, Path(found.found).name) == ("ok", "faster-whisper-tiny.en")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_missing_where_it_is_asked_for() -> None:
    code, answer = ask("--gpu")
    states = {check["name"]: check["state"] for check in answer["checks"]}
    assert code == 1 and not answer["can_run"]
    assert states["GPU (torch)"] == "missing"
    assert "missing GPU (torch)" in answer["sentence"]


def test_addresses_that_do_not_answer_fail_and_their_passwords_stay_secret() -> None:
    addresses = {
        "RAY_ADDRESS": "ray://someone:hunter2@127.0.0.1:9",
        "PREFECT_API_URL": "http://someone:hunter2@127.0.0.1:9/api?token=hunter2",
    }
    command = [sys.executable, "-m", "vexpress.flows.cli.app", "doctor", "--engine", "ray"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | addresses)
    assert done.returncode == 1
    said = done.stdout.strip().splitlines()[-1]
    assert said == (
        "This machine cannot curate with the ray engine on the CPU: "
        "missing RAY_ADDRESS, PREFECT_API_URL."
    )
    assert "hunter2" not in done.stdout + done.stderr


def test_a_ray_head_that_listens_is_found(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    assert line(check_ray(Setup(engine="ray")), "RAY_ADDRESS").state == "ok"


def test_a_prefect_server_that_answers_is_found() -> None:
    class Healthy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/api/health" else 500)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = http.server.HTTPServer(("127.0.0.1", 0), Healthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    assert ask_server(f"{url}/api") == (True, "answers 200")
    assert ask_server(f"{url}/wrong") == (False, "answers 500")
    server.shutdown()
    server.server_close()
    assert ask_server(f"{url}/api") == (False, "[Errno 111] Connection refused")


def test_a_folder_with_other_files_is_no_place_for_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear reader")
    check = line(check_dataset(Setup(dataset=str(tmp_path))), "data set")
    assert check.state == "missing"
    assert "holds other files" in check.found and check.todo


def test_weights_that_are_not_all_there_say_which_and_how_to_get_them(tmp_path: Path) -> None:
    (tmp_path / "v-express").mkdir()
    (tmp_path / "v-express" / "denoising_unet.bin").touch()
    checks = check_weights(Setup(weights=tmp_path))
    networks = line(checks, "V-Express networks")
    assert networks.state == "not needed"
    assert networks.found == "denoising_unet; missing audio_projection, reference_net, v_kps_guider"
    assert "vexpress weights fetch v-express" in networks.todo
    for name in ("audio_projection", "reference_net", "v_kps_guider"):
        (tmp_path / "v-express" / f"{name}.safetensors").touch()
    assert line(check_weights(Setup(weights=tmp_path)), "V-Express networks").state == "ok"


def test_a_weights_folder_that_is_not_there_fails(tmp_path: Path) -> None:
    checks = check_weights(Setup(weights=tmp_path / "nowhere"))
    assert line(checks, "weights folder").state == "missing"
    assert not verdict(Setup(), checks)[0]


def test_the_memory_of_a_container_counts_not_that_of_its_host(tmp_path: Path) -> None:
    host = Memory(total=64, available=60)
    assert memory(host, tmp_path) == (64, 60)
    (tmp_path / "memory.current").write_text("3\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert memory(host, tmp_path) == (64, 60)
    (tmp_path / "memory.max").write_text("8\n")
    assert memory(host, tmp_path) == (8, 5)
