"""Packages, cores, memory, disk, GPUs and codecs of this machine."""

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

from vexpress.flows.cli.checks.check import INSTALL, Check, Setup, line, masked
from vexpress.schemas.versions import version_of

PYTHONS = ((3, 11), (3, 14))
"""First Python that will do, and the first that will not."""
WORK_PACKAGES = (
    *("prefect", "av", "scenedetect", "opencv-python", "onnxruntime", "faster-whisper"),
    *("duckdb", "pyarrow", "pydantic", "numpy", "fsspec", "jinja2", "psutil"),
)
MODEL_PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "safetensors")
ENCODERS = ("libx264", "aac")
DECODERS = ("h264", "hevc", "av1", "vp9", "aac", "opus")
LEAST_MEMORY = 2 * 2**30
LEAST_DISK = 2**30


def check_packages(setup: Setup) -> list[Check]:
    """Python, and the packages that curation and the model need."""
    version = sys.version_info[:2]
    good = PYTHONS[0] <= version < PYTHONS[1]
    python = line(
        "Python", platform.python_version(), good=good, todo="use Python 3.11, 3.12 or 3.13"
    )
    models = _packages("packages of the model", MODEL_PACKAGES, needed=False)
    return [python, _packages("packages", ("vexpress", *WORK_PACKAGES), needed=True), models]


def _packages(name: str, wanted: tuple[str, ...], *, needed: bool) -> Check:
    versions = {package: version_of(package) for package in wanted}
    absent = [package for package, version in versions.items() if version is None]
    present = ", ".join(f"{package} {version}" for package, version in versions.items() if version)
    found = f"{present}; not installed: {', '.join(absent)}" if absent else present
    return line(name, found, good=not absent, needed=needed, todo=INSTALL)


def check_machine(setup: Setup) -> list[Check]:
    """Cores and memory of this machine."""
    import psutil

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    total, free = memory(psutil.virtual_memory())
    return [
        line("cores", f"{usable} usable of {os.cpu_count()}", good=True),
        line(
            "memory",
            f"{free / 2**30:.1f} GiB free of {total / 2**30:.1f} GiB",
            good=free >= LEAST_MEMORY,
            todo=f"curation needs about {LEAST_MEMORY / 2**30:.0f} GiB: end other programs",
        ),
    ]


def memory(machine: Any, cgroup: Path = Path("/sys/fs/cgroup")) -> tuple[int, int]:
    """Return total and free bytes: the machine's, or a container's where that is less."""
    try:
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return machine.total, machine.available
    return min(machine.total, limit), min(machine.available, max(limit - used, 0))


def check_dataset(setup: Setup) -> list[Check]:
    """Free disk where the data set is or will be, and the data set itself."""
    remote = "://" in (setup.dataset or "")
    folder = Path.home() if remote else Path(setup.dataset or ".").expanduser().resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    disk = line(
        "free disk",
        f"{free / 2**30:.1f} GiB at {folder}",
        good=free >= LEAST_DISK,
        todo="make room, or name a data set on another disk",
    )
    if setup.dataset is None:
        return [disk]
    return [disk, _remote(setup.dataset) if remote else _local(setup.dataset, folder)]


def _local(dataset: str, nearest: Path) -> Check:
    from vexpress.schemas.dataset import MARKER

    place = Path(dataset).expanduser().resolve()
    writable = os.access(nearest, os.W_OK | os.X_OK) and nearest.is_dir()
    if not writable:
        found, todo = f"{nearest} cannot be written to", "name another folder, or change its owner"
        return line("data set", found, good=False, todo=todo)
    if place.exists() and not (place / MARKER).exists() and any(place.iterdir()):
        found = f"{place} holds other files"
        return line("data set", found, good=False, todo="name a new or empty folder")
    known = "is there" if (place / MARKER).exists() else "will be made"
    return line("data set", f"{place} {known}", good=True)


def _remote(dataset: str) -> Check:
    from vexpress.schemas.dataset import MARKER, Dataset

    todo = "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if not AWS, AWS_ENDPOINT_URL"
    try:
        data = Dataset(dataset)
        known = "is there" if data.exists(MARKER) else "will be made"
        bucket = data.path("").split("/")[0]
        if dataset.startswith("s3://") and not data.fs.exists(bucket):
            found = f"{masked(dataset)}: there is no bucket {bucket} to be seen"
            return line("data set", found, good=False, todo=f"make the bucket, or {todo}")
    except Exception as error:  # each storage has its own errors, and they may tell secrets
        found = f"{masked(dataset)} cannot be reached: {type(error).__name__}"
        return line("data set", found, good=False, todo=todo)
    return line("data set", f"{masked(dataset)} {known}; writing was not tried", good=True)


def check_gpu(setup: Setup) -> list[Check]:
    """GPUs that torch can compute on, and whether onnxruntime can use one."""
    import onnxruntime

    needed = setup.gpu and not setup.on_cluster
    found = gpus()
    providers = [p.removesuffix("ExecutionProvider") for p in onnxruntime.get_available_providers()]
    return [
        line(
            "GPU (torch)",
            "; ".join(found) or "none",
            good=bool(found),
            needed=needed,
            todo="for --gpu: an NVIDIA driver and a CUDA build of torch (see pytorch.org)",
        ),
        line(
            "GPU (onnxruntime)",
            ", ".join(providers),
            good="CUDA" in providers,
            needed=needed,
            todo="for --gpu: pip uninstall onnxruntime, then pip install onnxruntime-gpu",
        ),
    ]


def gpus() -> list[str]:
    """Return name and memory of every GPU that torch can really compute on."""
    import torch

    names = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        torch.ones(1, device=f"cuda:{index}").add_(1).item()
        device = torch.cuda.get_device_properties(index)
        names.append(f"{device.name}, {device.total_memory / 2**30:.0f} GiB")
    return names


def check_codecs(setup: Setup) -> list[Check]:
    """Encoders for clips, decoders for sources."""
    encoders = [name for name in ENCODERS if _has_codec(name, "w")]
    decoders = [name for name in DECODERS if _has_codec(name, "r")]
    without = ", ".join(sorted(set(DECODERS) - set(decoders)))
    build = "install PyAV's own wheel: pip install --force-reinstall av"
    return [
        line(
            "encoders",
            ", ".join(encoders) or "none",
            good=len(encoders) == len(ENCODERS),
            todo=f"clips are H.264 with AAC: {build}",
        ),
        line(
            "decoders",
            ", ".join(decoders) or "none",
            good=not without,
            needed="h264" not in decoders,
            todo=f"sources in {without} would be rejected: {build}",
        ),
    ]


def _has_codec(name: str, mode: str) -> bool:
    import av

    try:
        av.Codec(name, mode)
    except ValueError:  # PyAV's UnknownCodecError
        return False
    return True
