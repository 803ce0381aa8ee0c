"""What this machine has, and whether a chosen configuration can run on it.

Nothing is downloaded, started or written; addresses are shown without credentials.
"""

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

State = Literal["ok", "missing", "not needed"]
PYTHONS = ((3, 11), (3, 13))
"""First Python that will do, and the first that will not."""
WORK_PACKAGES = (
    *("prefect", "av", "scenedetect", "opencv-python", "onnxruntime", "faster-whisper"),
    *("duckdb", "pyarrow", "pydantic", "numpy", "fsspec", "jinja2", "psutil"),
)
MODEL_PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "safetensors")
INSTEAD = {"onnxruntime": "onnxruntime-gpu", "opencv-python": "opencv-python-headless"}
ENCODERS = ("libx264", "aac")
DECODERS = ("h264", "hevc", "av1", "vp9", "aac", "opus")
LEAST_MEMORY = 2 * 2**30
LEAST_DISK = 2**30
PATIENCE_S = 2.0


@dataclass(frozen=True)
class Setup:
    """The configuration that is asked about."""

    weights: Path | None = None
    engine: str = "local"
    gpu: bool = False
    dataset: str | None = None

    @property
    def on_cluster(self) -> bool:
        """Whether the work runs on other machines."""
        return self.engine == "ray" and bool(os.environ.get("RAY_ADDRESS"))


@dataclass(frozen=True)
class Check:
    """One line: what was looked at, what was found, what to do."""

    name: str
    state: State
    found: str
    todo: str = ""


def judge(name: str, found: str, *, good: bool, needed: bool = True, todo: str = "") -> Check:
    """Return a line; `todo` is said only where something is not there."""
    state: State = "ok" if good else "missing" if needed else "not needed"
    return Check(name, state, found, "" if good else todo)


def examine(setup: Setup) -> list[Check]:
    """Look at everything; a look that fails is itself a line."""
    looks: list[tuple[str, Callable[[Setup], list[Check]]]] = [
        ("packages", check_packages),
        ("machine", check_machine),
        ("data set", check_dataset),
        ("GPU", check_gpu),
        ("codecs", check_codecs),
        ("speech (Silero VAD)", check_speech),
        ("faces", check_faces),
        ("weights", check_weights),
        ("Ray", check_ray),
        ("Prefect", check_prefect),
    ]
    lines: list[Check] = []
    for name, look in looks:
        try:
            lines += look(setup)
        except Exception as error:  # a broken install fails in ways of its own
            found = masked(f"the check failed: {type(error).__name__}: {error}"[:200])
            lines.append(Check(name, "missing", found, f"install the project again: {INSTALL}"))
    return lines


INSTALL = "pip install -e . -c constraints.txt"


def verdict(setup: Setup, checks: list[Check]) -> tuple[bool, str]:
    """Return whether the configuration can run, and the sentence that says so."""
    where = f"with the {setup.engine} engine on the {'GPU' if setup.gpu else 'CPU'}"
    missing = [check.name for check in checks if check.state == "missing"]
    if missing:
        return False, f"This machine cannot curate {where}: missing {', '.join(missing)}."
    parts = [c.name for c in checks if c.name.startswith("V-Express") and c.state != "ok"]
    rest = f" It cannot train or generate yet: missing {', '.join(parts)}." if parts else ""
    return True, f"This machine can curate {where}.{rest}"


def check_packages(setup: Setup) -> list[Check]:
    """Python, and the packages that curation and the model need."""
    version = sys.version_info[:2]
    good = PYTHONS[0] <= version < PYTHONS[1]
    python = judge("Python", platform.python_version(), good=good, todo="use Python 3.11 or 3.12")
    models = _packages("packages of the model", MODEL_PACKAGES, needed=False)
    return [python, _packages("packages", ("vexpress", *WORK_PACKAGES), needed=True), models]


def _packages(name: str, wanted: tuple[str, ...], *, needed: bool) -> Check:
    versions = {package: version_of(package) for package in wanted}
    absent = [package for package, version in versions.items() if version is None]
    present = ", ".join(f"{package} {version}" for package, version in versions.items() if version)
    found = f"{present}; not installed: {', '.join(absent)}" if absent else present
    return judge(name, found, good=not absent, needed=needed, todo=INSTALL)


def version_of(package: str) -> str | None:
    """Return the installed version of a package, or of the one that stands in for it."""
    for name in (package, INSTEAD.get(package, package)):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def check_machine(setup: Setup) -> list[Check]:
    """Cores and memory of this machine."""
    import psutil

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    total, free = memory(psutil.virtual_memory())
    return [
        judge("cores", f"{usable} usable of {os.cpu_count()}", good=True),
        judge(
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
    disk = judge(
        "free disk",
        f"{free / 2**30:.1f} GiB at {folder}",
        good=free >= LEAST_DISK,
        todo="make room, or name a data set on another disk",
    )
    if setup.dataset is None:
        return [disk]
    return [disk, _remote(setup.dataset) if remote else _local(setup.dataset, folder)]


def _local(dataset: str, nearest: Path) -> Check:
    from schemas.dataset import MARKER

    place = Path(dataset).expanduser().resolve()
    writable = os.access(nearest, os.W_OK | os.X_OK) and nearest.is_dir()
    if not writable:
        found, todo = f"{nearest} cannot be written to", "name another folder, or change its owner"
        return judge("data set", found, good=False, todo=todo)
    if place.exists() and not (place / MARKER).exists() and any(place.iterdir()):
        found = f"{place} holds other files"
        return judge("data set", found, good=False, todo="name a new or empty folder")
    known = "is there" if (place / MARKER).exists() else "will be made"
    return judge("data set", f"{place} {known}", good=True)


def _remote(dataset: str) -> Check:
    from schemas.dataset import MARKER, Dataset

    todo = "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if not AWS, AWS_ENDPOINT_URL"
    try:
        data = Dataset(dataset)
        known = "is there" if data.exists(MARKER) else "will be made"
        bucket = data.path("").split("/")[0]
        if dataset.startswith("s3://") and not data.fs.exists(bucket):
            found = f"{masked(dataset)}: there is no bucket {bucket} to be seen"
            return judge("data set", found, good=False, todo=f"make the bucket, or {todo}")
    except Exception as error:  # each storage has its own errors, and they may tell secrets
        found = f"{masked(dataset)} cannot be reached: {type(error).__name__}"
        return judge("data set", found, good=False, todo=todo)
    return judge("data set", f"{masked(dataset)} {known}; writing was not tried", good=True)


def check_gpu(setup: Setup) -> list[Check]:
    """GPUs that torch can compute on, and whether onnxruntime can use one."""
    import onnxruntime

    needed = setup.gpu and not setup.on_cluster
    found = gpus()
    providers = [p.removesuffix("ExecutionProvider") for p in onnxruntime.get_available_providers()]
    return [
        judge(
            "GPU (torch)",
            "; ".join(found) or "none",
            good=bool(found),
            needed=needed,
            todo="for --gpu: an NVIDIA driver and a CUDA build of torch (see pytorch.org)",
        ),
        judge(
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
        judge(
            "encoders",
            ", ".join(encoders) or "none",
            good=len(encoders) == len(ENCODERS),
            todo=f"clips are H.264 with AAC: {build}",
        ),
        judge(
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


def check_speech(setup: Setup) -> list[Check]:
    """Silero VAD, by running it over a second of silence."""
    import numpy as np

    from tasks.sound import RATE, speech_share

    share = speech_share(np.zeros(RATE, np.float32), threshold=0.5)
    found = f"faster-whisper {version_of('faster-whisper')}, hears {share:.0%} speech in silence"
    vad = judge("speech (Silero VAD)", found, good=share == 0, todo=INSTALL)
    return [vad, *_transcription(setup.weights)]


def _transcription(weights: Path | None) -> list[Check]:
    """Both back ends of transcription; neither is needed."""
    from schemas.errors import ConfigError
    from tasks.speech import PREFIX, SpeechConfig, find_whisperx, resolve_speech

    chosen, said = resolve_speech(SpeechConfig(), weights)
    try:
        whisperx = " ".join(map(str, reversed(find_whisperx(None))))
    except ConfigError:
        whisperx = ""
    return [
        judge(
            "transcription (faster-whisper)",
            chosen.model or said.removeprefix("speech: "),
            good=chosen.model is not None,
            needed=False,
            todo=f"to have words in the data set: hf download Systran/{PREFIX}small "
            f"--local-dir WEIGHTS/{PREFIX}small",
        ),
        judge(
            "transcription (whisperx)",
            whisperx or "no environment",
            good=bool(whisperx),
            needed=False,
            todo="only for speech.backend=whisperx: make whisperx, or name VEXPRESS_WHISPERX",
        ),
    ]


def check_faces(setup: Setup) -> list[Check]:
    """Face back ends; one of them is enough."""
    from tasks.faces import PACKS
    from vexpress.face_points import find_insightface

    folders = [find_insightface(pack, setup.weights) for pack in PACKS]
    here = [str(folder) for folder in folders if folder]
    dlib = has_dlib()
    return [
        judge(
            "faces (insightface)",
            "; ".join(here) or f"none of {', '.join(PACKS)}",
            good=bool(here),
            needed=not dlib,
            todo=f"put one at WEIGHTS/insightface/models/{PACKS[0]}; a run fetches it where it "
            "can reach github.com, and uses dlib where it cannot",
        ),
        judge(
            "faces (dlib)",
            "HOG detector, 68 landmarks" if dlib else "not installed",
            good=dlib,
            needed=not here,
            todo="pip install dlib-bin face-recognition-models",
        ),
    ]


def has_dlib() -> bool:
    """Return whether dlib and its landmark model are installed."""
    from vexpress.face_points import FaceModelError, dlib_model

    try:
        landmarks = dlib_model("shape_predictor_68_face_landmarks.dat")
    except FaceModelError:
        return False
    return landmarks.is_file() and importlib.util.find_spec("dlib") is not None


def check_weights(setup: Setup) -> list[Check]:
    """Weights of audio features, scene detection and V-Express."""
    from tasks.features import FeatureConfig, resolve_features
    from vexpress.weights import TABLE

    given = setup.weights
    features, said = resolve_features(FeatureConfig(), given)
    model = FeatureConfig().model
    transnet = (given or Path("WEIGHTS")) / "transnetv2" / "transnetv2.onnx"
    lines = [] if given is None else [_folder(given)]
    return [
        *lines,
        judge(
            "audio features",
            features.model or said.removeprefix("features: "),
            good=features.model is not None,
            needed=False,
            todo=f"to have them in the data set: hf download facebook/{model} --local-dir "
            f"WEIGHTS/{model}",
        ),
        judge(
            "scenes (TransNetV2)",
            str(transnet) if transnet.is_file() else f"no {transnet}",
            good=transnet.is_file(),
            needed=False,
            todo="only for --set scenes.detector=transnet; the default detector needs no weights",
        ),
        *(_vexpress_part(entry.name, entry.repository, given) for entry in TABLE),
    ]


def _folder(weights: Path) -> Check:
    found = str(weights) if weights.is_dir() else f"{weights} is no folder"
    return judge("weights folder", found, good=weights.is_dir(), todo="give the folder that exists")


def _vexpress_part(name: str, repository: str, weights: Path | None) -> Check:
    """One entry of the table of weights: in the folder given, else in the hub cache."""
    from vexpress.weights import NETWORKS, network_files

    roots = [weights, weights / "model_ckpts"] if weights else _hub_snapshot(repository)
    if name == "v-express":
        folders = [folder for root in roots for folder in (root / name, root)]
        held = max((network_files(folder) for folder in folders), key=len, default={})
        absent = sorted(set(NETWORKS) - set(held))
        found = ", ".join(sorted(held)) if held else "none of its files"
        found += f"; missing {', '.join(absent)}" if held and absent else ""
    else:
        places = [place for root in roots for place in (root / name, root)]
        configs = [p / "config.json" for p in places if (p / "config.json").is_file()]
        found, absent = (str(configs[0].parent), []) if configs else ("none", ["config.json"])
    return judge(
        "V-Express networks" if name == "v-express" else f"V-Express {name}",
        found,
        good=not absent,
        needed=False,
        todo=f"to train and generate: hf download {repository} --local-dir WEIGHTS"
        + ("" if name == "v-express" else f"/{name}"),
    )


def _hub_snapshot(repository: str) -> list[Path]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return [Path(snapshot_download(repository, local_files_only=True))]
    except LocalEntryNotFoundError:
        return []


def check_ray(setup: Setup) -> list[Check]:
    """Ray itself, and the cluster that RAY_ADDRESS names."""
    needed = setup.engine == "ray"
    version = version_of("ray")
    ray = judge("Ray", version or "none", good=version is not None, needed=needed, todo=INSTALL)
    address = os.environ.get("RAY_ADDRESS", "")
    if not address or address in ("auto", "local"):
        return [ray]
    if "://" in address:
        todo = "run next to the Ray head, with RAY_ADDRESS=HOST:6379; ray:// is not used"
        return [ray, judge("RAY_ADDRESS", masked(address), good=False, needed=needed, todo=todo)]
    host, _, port = address.rpartition(":")
    reachable = port.isdigit() and can_connect(host, int(port))
    found = f"{masked(address)} {'answers' if reachable else 'does not answer'}"
    todo = "start Ray there (ray start --head), or unset RAY_ADDRESS to use this machine alone"
    return [ray, judge("RAY_ADDRESS", found, good=reachable, needed=needed, todo=todo)]


def can_connect(host: str, port: int) -> bool:
    """Return whether something listens there."""
    try:
        socket.create_connection((host, port), timeout=PATIENCE_S).close()
    except OSError:
        return False
    return True


def check_prefect(setup: Setup) -> list[Check]:
    """Prefect itself, and the server that it is told to use."""
    from prefect.settings import get_current_settings

    version = version_of("prefect") or "none"
    url = get_current_settings().api.url
    if not url:
        return [judge("Prefect", f"{version}, embedded server on SQLite", good=True)]
    answer = health(url)
    return [
        judge("Prefect", version, good=True),
        judge(
            "PREFECT_API_URL",
            f"{masked(url)} {answer or 'does not answer'}",
            good=answer is not None,
            todo="start it (prefect server start), or unset PREFECT_API_URL to run embedded",
        ),
    ]


def health(url: str) -> str | None:
    """Return what the server's health page answers, or None where nothing answers."""
    import httpx

    try:
        status = httpx.get(f"{url.rstrip('/')}/health", timeout=PATIENCE_S).status_code
    except httpx.HTTPError:
        return None
    return f"answers {status}" if status < 500 else None


def masked(text: str) -> str:
    """Return an address, or a text with addresses in it, without credentials and queries."""
    without_query = re.sub(r"(?<=\S)\?\S*", "", text)
    return re.sub(r"[^/@\s]+(:[^/@\s]*)?@", "***@", without_query)
