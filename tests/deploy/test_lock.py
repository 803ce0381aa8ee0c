"""The locks: whole, with a hash for every file, and what the tests run with."""

import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
CUDA = ("cuda-", "nvidia-", "triton")
"""What torch's CUDA build wants: no lock but the GPU image's has it, nor torch (torch.txt)."""


def locked(name: str) -> dict[str, tuple[str, int]]:
    """Version and number of hashes of every package in a lock that this Python would install."""
    found = {}
    text = (ROOT / f"requirements/{name}.txt").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.startswith((" ", "#")):
            requirement = Requirement(line.split("--hash")[0])
            if requirement.marker is None or requirement.marker.evaluate():
                (pin,) = requirement.specifier
                assert pin.operator == "==", line
                key = canonicalize_name(requirement.name)
                found[key] = (pin.version, line.count("--hash=sha256:"))
    return found


def needed(lines: list[str]) -> dict[str, str]:
    """Version of every package that these requirements bring, as it is installed here."""
    found: dict[str, str] = {}
    waiting = [Requirement(line) for line in lines]
    seen = set()
    while waiting:
        asked = waiting.pop()
        if str(asked) in seen or (asked.marker and not asked.marker.evaluate({"extra": ""})):
            continue
        seen.add(str(asked))
        found[canonicalize_name(asked.name)] = version(asked.name).split("+")[0]
        waiting += needs_of(asked)
    return {name: pin for name, pin in found.items() if not name.startswith((*CUDA, "torch"))}


def needs_of(asked: Requirement) -> Iterator[Requirement]:
    for line in requires(asked.name) or []:
        inner = Requirement(line)
        marker, inner.marker = inner.marker, None
        if marker is None or any(marker.evaluate({"extra": e}) for e in {"", *asked.extras}):
            yield inner


@pytest.mark.parametrize(
    ("lock", "lines"),
    [
        ("base", PROJECT["dependencies"] + EXTRAS["kubernetes"]),
        ("dev", PROJECT["dependencies"] + EXTRAS["kubernetes"] + EXTRAS["dev"]),
    ],
)
def test_a_lock_has_everything_that_is_installed_and_its_version(
    lock: str, lines: list[str]
) -> None:
    pins = {name: pin for name, (pin, _) in locked(lock).items()}
    try:
        installed = needed(lines)
    except PackageNotFoundError as error:
        pytest.skip(f"not installed by `make setup`: {error}")
    assert {name: pins.get(name) for name in installed} == installed


@pytest.mark.parametrize("lock", ["base", "dev", "gpu"])
def test_every_file_has_a_hash_and_none_an_address(lock: str) -> None:
    assert len(locked(lock)) > 30
    assert [name for name, (_, hashes) in locked(lock).items() if not hashes] == []
    assert "://" not in (ROOT / f"requirements/{lock}.txt").read_text()


def test_locks_agree_and_only_the_gpu_image_takes_torchs_cuda_build() -> None:
    dev = locked("dev")
    assert locked("base").items() <= dev.items()
    gpu = locked("gpu")
    assert {n: gpu[n][0] for n in gpu if n in dev} == {n: dev[n][0] for n in gpu if n in dev}
    assert all(name.startswith((*CUDA, "torch", "onnxruntime-gpu")) for name in set(gpu) - set(dev))
    assert not [name for name in dev if name.startswith((*CUDA, "torch"))]
    assert f"\ntorch=={gpu['torch'][0]}\n" in (ROOT / "requirements/torch.txt").read_text()


def test_the_lock_meets_what_pyproject_asks_for() -> None:
    dev = locked("dev")
    for line in PROJECT["dependencies"] + [line for extra in EXTRAS.values() for line in extra]:
        asked = Requirement(line)
        name = canonicalize_name(asked.name)
        if name == "torch":
            continue
        assert name in dev, f"{name}: run `make lock`"
        assert asked.specifier.contains(dev[name][0], prereleases=True), f"{line}: run `make lock`"
