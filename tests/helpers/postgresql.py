"""A PostgreSQL of one's own: Debian's package, in a folder under /tmp, on a free loopback port."""

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.ports import free_port

USER, DATABASE = "prefect", "postgres"


@dataclass(frozen=True)
class Postgres:
    """Where it listens and how to get in."""

    port: int
    password_file: Path

    @property
    def url(self) -> str:
        """For asyncpg."""
        return (
            f"postgresql://{USER}:{self.password_file.read_text()}@127.0.0.1:{self.port}/{DATABASE}"
        )


def find_binaries() -> Path | None:
    """The folder with `initdb` and `pg_ctl`, the newest: Debian keeps it off the PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parts[-2]))
    if folders:
        return folders[-1]
    found = shutil.which("pg_ctl")
    return Path(found).parent if found else None


@contextlib.contextmanager
def running(binaries: Path) -> Iterator[Postgres]:
    """Start it, give it, and stop and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="vexpress-postgres-", dir="/tmp"))
    password = folder / "password"
    password.write_text(secrets.token_hex(16))
    as_user: dict[str, str] = {}
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        as_user = {"user": "postgres"}
        owner = pwd.getpwnam("postgres")
        for path in (folder, password):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    data, port = folder / "data", free_port()

    def call(program: str, *words: str) -> None:
        command = [str(binaries / program), *words]
        subprocess.run(command, check=True, capture_output=True, cwd=folder, **as_user)  # type: ignore[call-overload]

    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
    options += " -c fsync=off -c max_connections=50"
    try:
        call("initdb", "-D", str(data), "-U", USER, "--auth=scram-sha-256", f"--pwfile={password}")
        call("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield Postgres(port, password)
        finally:
            call("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
