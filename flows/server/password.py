"""The password of the server that `vexpress up` starts: made once, found by commands and workers.

STATE/password   user:secret, readable by its owner alone
"""

import json
import os
import secrets
from pathlib import Path

from vexpress.schemas.errors import ConfigError

SERVER = "PREFECT_SERVER_API_AUTH_STRING"
CLIENT = "PREFECT_API_AUTH_STRING"
USER = "vexpress"
STATE = "~/.vexpress"
"""Folder of the server's state where nothing else is said."""


def file_of(state: Path) -> Path:
    """Return where the password lies."""
    return state.expanduser().resolve() / "password"


def read_or_make(state: Path) -> str:
    """Return the password: of the environment, else of the state, made where there is none.

    Raises ConfigError where others may read the file.
    """
    if given := os.environ.get(SERVER):
        return given
    file = file_of(state)
    if not file.is_file() or not file.stat().st_size:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.chmod(0o600)
        file.write_text(f"{USER}:{secrets.token_urlsafe(24)}")
    found = file.stat()
    if found.st_mode & 0o077 or found.st_uid != os.getuid():
        raise ConfigError(
            f"{file}: expected a file that only its owner can read, found mode "
            f"{found.st_mode & 0o777:o}. Remove it; a new password is made."
        )
    return file.read_text().strip()


def tell_client() -> None:
    """Let Prefect's client in this process know the password, where PREFECT_API_URL names the
    server of `vexpress up` on this machine. What the environment says already counts."""
    state = Path(os.environ.get("VEXPRESS_STATE", STATE)).expanduser()
    stack, asked = state / "stack.json", os.environ.get("PREFECT_API_URL", "").rstrip("/")
    if not asked or not stack.is_file():
        return
    port = json.loads(stack.read_text())["port"]
    if asked in {f"http://{host}:{port}/api" for host in ("127.0.0.1", "localhost")}:
        os.environ.setdefault(CLIENT, read_or_make(state))
