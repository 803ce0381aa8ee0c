"""The password of `vexpress up`: made once, private, found by commands on the same machine."""

import json
import os
from pathlib import Path

import pytest

from vexpress.flows.server.password import CLIENT, SERVER, file_of, read_or_make, tell_client
from vexpress.schemas.errors import ConfigError


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack's state on port 4210, named by the environment; no password is set."""
    for name in (SERVER, CLIENT, "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VEXPRESS_STATE", str(tmp_path))
    (tmp_path / "stack.json").write_text(json.dumps({"port": 4210}))
    return tmp_path


def test_it_is_made_once_and_only_its_owner_reads_it(state: Path) -> None:
    password = read_or_make(state)
    assert password.startswith("vexpress:") and len(password) > 30
    assert read_or_make(state) == password
    assert file_of(state).stat().st_mode & 0o777 == 0o600


def test_one_that_others_can_read_is_refused(state: Path) -> None:
    read_or_make(state)
    file_of(state).chmod(0o644)
    with pytest.raises(ConfigError, match="only its owner can read, found mode 644"):
        read_or_make(state)


def test_that_of_the_environment_counts(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVER, "team:secret")
    assert read_or_make(state) == "team:secret"
    assert not file_of(state).exists()


@pytest.mark.parametrize(
    ("url", "is_told"),
    [
        ("http://127.0.0.1:4210/api", True),
        ("http://localhost:4210/api/", True),
        ("http://127.0.0.1:4200/api", False),
        ("http://elsewhere:4210/api", False),
    ],
)
def test_a_command_is_told_it_for_this_server_alone(
    state: Path, monkeypatch: pytest.MonkeyPatch, url: str, is_told: bool
) -> None:
    password = read_or_make(state)
    monkeypatch.setenv("PREFECT_API_URL", url)
    monkeypatch.setenv(CLIENT, "")
    monkeypatch.delenv(CLIENT)
    tell_client()
    assert os.environ.get(CLIENT) == (password if is_told else None)
