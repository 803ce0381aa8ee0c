"""The image's file: linted, and every path and version in it is one that this project has."""

import fnmatch
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
ROOT = DEPLOY.parent
TEXT = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text())
STEPS = [line.strip() for line in TEXT.splitlines() if line.strip() and line[0] != "#"]


def steps(word: str) -> list[str]:
    return [step.removeprefix(f"{word} ") for step in STEPS if step.startswith(f"{word} ")]


def test_the_linter_finds_nothing() -> None:
    linter = shutil.which("hadolint") or str(Path(sys.executable).parent / "hadolint")
    done = subprocess.run([linter, str(DEPLOY / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout == ""


def test_what_is_copied_exists_and_is_not_kept_out_of_the_build() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    let_in = {line[1:] for line in lines if line.startswith("!")}
    kept_out = [line for line in lines if line.startswith("**/")]
    copied = [s for step in steps("COPY") if "--from=" not in step for s in step.split()[:-1]]
    assert len(copied) > 8
    for source in copied:
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] in let_in, source
        assert not any(fnmatch.fnmatch(source, f"*{glob[2:]}") for glob in kept_out)


def test_every_package_of_the_project_is_copied() -> None:
    linked = {link.resolve().name for link in (ROOT / "vexpress").iterdir() if link.is_symlink()}
    assert linked == {"flows", "tasks", "schemas"}
    copied = {source for step in steps("COPY") for source in step.split()[:-1]}
    assert {"vexpress", *linked} <= copied


def test_everything_that_pip_installs_has_its_hash_but_for_the_cpu_images_torch() -> None:
    installs = re.findall(r"pip install (.*?)(?:&&|$)", "\n".join(steps("RUN")), re.M)
    locked = "--require-hashes --no-deps -r requirements"
    project = "--no-cache-dir --no-deps --no-build-isolation -e ."
    assert [install.strip() for install in installs] == [
        f"{locked}/base.txt",
        project,
        "-r requirements/torch.txt",
        f"{locked}/gpu.txt",
    ]


def test_onnxruntime_goes_before_its_gpu_build_comes_and_nothing_is_installed_after() -> None:
    gpu = next(step for step in steps("RUN") if "pip uninstall" in step)
    assert gpu.index("pip uninstall -y onnxruntime ") < gpu.index("requirements/gpu.txt")
    assert re.search(r"^onnxruntime-gpu==", (ROOT / "requirements/gpu.txt").read_text(), re.M)
    later = STEPS[STEPS.index(f"RUN {gpu}") + 1 :]
    assert not [step for step in later if "pip install" in step]
    assert "RUN python deploy/check_gpu.py --installed" in later


def test_containers_run_as_nobody_special() -> None:
    stages: dict[str, list[str]] = {}
    for step in STEPS:
        if step.startswith("FROM "):
            stages[step.split()[-1]] = []
        elif stages:
            list(stages.values())[-1].append(step)
    assert {"build", "build-cpu", "build-gpu", "runtime", "cpu", "gpu"} == set(stages)
    for name in ("cpu", "gpu"):
        assert stages[name][-1] == "USER 1000"
    images = [step.split()[1] for step in STEPS if step.startswith("FROM ")]
    assert {i for i in images if i not in stages} == {"${BASE}"}


def test_images_of_others_are_pinned_by_their_digests() -> None:
    (base,) = [word.removeprefix("BASE=") for word in steps("ARG") if word.startswith("BASE=")]
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", base)
    compose = (DEPLOY / "compose.yaml").read_text()
    assert re.search(r"image: postgres@sha256:[0-9a-f]{64}  # 16\.\d+-alpine\n", compose)


def test_the_gpu_check_says_what_is_wrong_on_this_machine() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU: the check may pass")
    check = [sys.executable, str(DEPLOY / "check_gpu.py")]
    done = subprocess.run(check, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "finds no CUDA device" in done.stdout
    assert "not on CUDA" in done.stdout, "a session was opened and asked"
