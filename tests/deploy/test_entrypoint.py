"""The containers' entry point, run as it stands."""

import os
import subprocess
from pathlib import Path

ENTRY = Path(__file__).parents[2] / "deploy/entrypoint.sh"


def enter(*command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(ENTRY), *command],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
    )


def test_a_secret_in_a_file_becomes_a_variable_and_its_path_is_gone(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a b$c'd\n")
    done = enter("env", PREFECT_API_AUTH_STRING_FILE=str(tmp_path / "secret"), OTHER_FILE="x")
    lines = done.stdout.splitlines()
    assert "PREFECT_API_AUTH_STRING=a b$c'd" in lines
    assert "OTHER_FILE=x" in lines
    assert not [line for line in lines if line.startswith("PREFECT_API_AUTH_STRING_FILE")]


def test_a_secret_that_is_not_there_stops_the_container(tmp_path: Path) -> None:
    done = enter("env", PREFECT_API_AUTH_STRING_FILE=str(tmp_path / "none"))
    assert done.returncode == 1
    assert "PREFECT_API_AUTH_STRING_FILE: expected a file" in done.stderr


def test_the_command_gets_its_words_and_its_exit_code() -> None:
    assert enter("printf", "%s|", "a b", "*").stdout == "a b|*|"
    assert enter("sh", "-c", "exit 7").returncode == 7
