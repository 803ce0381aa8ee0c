"""A Prefect server, a worker and, if asked for, a Ray head on this machine.

STATE/stack.json   what was started: ids and start times of processes, address, data
STATE/prefect/     the server's database and settings
STATE/logs/        what the processes say
STATE/password     what the UI asks for once, and commands and workers find by themselves
STATE/ray_token    what a process must know to use the Ray head, which listens on every address

Starting twice changes nothing; what has died is started again. Stopping stops what was
started here and nothing else.
"""

import contextlib
import fcntl
import os
import secrets
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from prefect.client.orchestration import SyncPrefectClient
from pydantic import Field

from vexpress.files import write_text
from vexpress.flows.server.deployments import (
    POOL,
    apply_automations,
    apply_deployments,
    apply_pools,
    require_files,
    worker_online,
)
from vexpress.flows.server.environment import SETTINGS
from vexpress.flows.server.password import CLIENT, SERVER, read_or_make
from vexpress.flows.server.processes import MARK, Started, end, marked, start, stop
from vexpress.schemas.errors import ConfigError
from vexpress.schemas.row import Model

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PORT = 4200
RAY = ("127.0.0.1", 6379)
"""Address and port of the Ray head."""
PATIENCE_S = 180.0
Tell = Callable[[str], None]


class Stack(Model):
    """What was started."""

    mark: str
    """Carried by all its processes."""
    host: str
    """Address the server listens on."""
    port: int
    """Port of the server."""
    data: str
    """Folder that paths in the forms are relative to."""
    ray: bool = False
    """Whether it has a Ray head."""
    processes: dict[str, Started] = Field(default_factory=dict)
    """The processes, by what they do."""

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        host = self.host if self.host in LOOPBACK else "127.0.0.1"
        return f"http://{host}:{self.port}"

    @property
    def worker(self) -> str:
        """Name of the worker, told apart from that of another stack."""
        return f"{socket.gethostname()}-{self.mark[:4]}"

    def client(self, password: str) -> SyncPrefectClient:
        """Return a client of the server."""
        return SyncPrefectClient(f"{self.url}/api", auth_string=password)

    def running(self, name: str) -> bool:
        """Whether a process runs."""
        started = self.processes.get(name)
        return started is not None and started.process() is not None


def up(state: Path, data: Path, host: str, port: int | None, ray: bool, tell: Tell) -> Stack:
    """Start what does not run, apply `prefect.yaml`, wait until all answer.

    Raises ConfigError, before anything starts, where it cannot work: a file of the package is
    missing, a port is in use, an open address has no password.
    """
    _require_password(host)
    require_files()
    if ray:
        ray_command()
    data.mkdir(parents=True, exist_ok=True)
    with only_one(state):
        stack = _begin(state, data.resolve(), host, port, ray)
        environment = _environment(state, stack)
        if not stack.running("server"):
            began = time.monotonic()
            stack = _launch(state, stack, "server", _server(stack), environment)
            _wait(lambda: healthy(stack.url), state, stack, "server")
            tell(f"server       {stack.url} ({time.monotonic() - began:.0f} s)")
        with stack.client(environment[CLIENT]) as client:
            apply_pools(client)
            if stack.ray and not stack.running("ray"):
                stack = _launch(state, stack, "ray", ray_command(), environment)
            if not stack.running("worker"):
                stack = _launch(state, stack, "worker", _worker(stack), environment)
            (state / "logs/deploy.log").write_text(apply_deployments(environment))
            apply_automations(client)
            tell("deployments  applied, with limits and automations")
            _wait(lambda: worker_online(client, stack.worker), state, stack, "worker")
            tell(f"worker       in the pool {POOL}; paths are relative to {stack.data}")
            if stack.ray:
                _wait(lambda: not _free(*RAY), state, stack, "ray")
                tell("Ray head     {}:{}".format(*RAY))
        return stack


def down(state: Path, tell: Tell) -> bool:
    """Stop what was started; say whether anything was."""
    with only_one(state):
        stack = load(state)
        if stack is None or not stack.processes:
            return False
        for name in ("worker", "ray", "server"):
            started = stack.processes.get(name)
            if started and stop(started):
                tell(f"{name} stopped")
        left = list(marked(stack.mark))
        end(left, grace_s=10)
        if left:
            tell(f"{len(left)} processes of a killed worker stopped")
        _save(state, stack.model_copy(update={"processes": {}}))  # the port stays known
        return True


def load(state: Path) -> Stack | None:
    """Return what was started, or None."""
    file = _file(state)
    return Stack.model_validate_json(file.read_text()) if file.is_file() else None


def healthy(url: str) -> bool:
    """Whether a server answers."""
    try:
        return httpx.get(f"{url}/api/health", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@contextlib.contextmanager
def only_one(state: Path) -> Iterator[None]:
    """Hold the state's lock; raise ConfigError where another command holds it."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"{state}: another `vexpress up` or `down` is at work") from error
        yield


def _begin(state: Path, data: Path, host: str, port: int | None, ray: bool) -> Stack:
    """Return the stack as it was left, or a new one."""
    old = load(state)
    if old and old.running("server"):
        wanted = (host, port or old.port, str(data), ray or old.ray)
        if (old.host, old.port, old.data, old.ray) != wanted:
            raise ConfigError(
                f"a stack runs already at {old.url} over {old.data}, {_with_ray(old.ray)}; found "
                f"{host}:{wanted[1]} over {data}, {_with_ray(ray)}, asked for: expected the same. "
                "Stop it with `vexpress down`."
            )
        return old
    if old:
        end(list(marked(old.mark)), grace_s=10)  # of a server that died
    preferred = port or (old.port if old else PORT)
    if not _free(host, preferred):
        if port:
            raise ConfigError(f"port {port}: expected it free, found it in use. Give another.")
        preferred = _any_port(host)
    if ray and not _free(*RAY):
        raise ConfigError(f"port {RAY[1]}: expected it free for Ray, found it in use")
    stack = Stack(mark=secrets.token_hex(8), host=host, port=preferred, data=str(data), ray=ray)
    _save(state, stack)
    return stack


def _launch(
    state: Path, stack: Stack, name: str, command: list[str], environment: dict[str, str]
) -> Stack:
    log = state / "logs" / f"{name}.log"
    started = start(command, environment, log, Path(stack.data))
    stack = stack.model_copy(update={"processes": {**stack.processes, name: started}})
    _save(state, stack)
    return stack


def _wait(ready: Callable[[], bool], state: Path, stack: Stack, name: str) -> None:
    """Wait until `ready`; raise ConfigError where the process ends or takes too long."""
    deadline = time.monotonic() + PATIENCE_S
    while not ready():
        log = state / "logs" / f"{name}.log"
        if not stack.running(name) or time.monotonic() > deadline:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise ConfigError(f"the {name} did not start. The end of {log}:\n{last}")
        time.sleep(0.2)


def _environment(state: Path, stack: Stack) -> dict[str, str]:
    """What all processes of the stack are told."""
    password = read_or_make(state)
    ours = {
        "PREFECT_API_URL": f"{stack.url}/api",
        CLIENT: password,
        SERVER: password,
        # Pages of others in the same browser must not ask: the API is for its own pages alone.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(_origins(stack)),
        MARK: stack.mark,
        "PREFECT_HOME": str(state.resolve() / "prefect"),
        "PREFECT_SERVER_UI_API_URL": "/api",  # so that a forwarded port works too
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # The other one asks a tracking service for its settings, analytics on or off.
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "VEXPRESS_DATA": stack.data,
    }
    if stack.ray:
        ours |= ray_environment(state)
    return {**SETTINGS, **os.environ, **ours}


def ray_environment(state: Path) -> dict[str, str]:
    """What a process needs to use the Ray head; its token is made where there is none."""
    token = state.resolve() / "ray_token"
    if not token.is_file() or not token.stat().st_size:
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
    address = "{}:{}".format(*RAY)
    return {
        "RAY_ADDRESS": address,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # else stopping takes 30 s
    }


def _origins(stack: Stack) -> list[str]:
    hosts = {"127.0.0.1", "localhost", stack.host} - {"0.0.0.0", "::1"}
    return [f"http://{host}:{stack.port}" for host in sorted(hosts)]


def _server(stack: Stack) -> list[str]:
    where = ["--host", stack.host, "--port", str(stack.port)]
    return [sys.executable, "-m", "vexpress.flows.server.app", *where]


def _worker(stack: Stack) -> list[str]:
    who = ["--pool", POOL, "--type", "process", "--name", stack.worker]
    return [sys.executable, "-m", "prefect", "worker", "start", *who]


def ray_command() -> list[str]:
    """What starts the Ray head.

    Raises ConfigError where Ray's command is missing or its folder is somebody else's.
    """
    ray = Path(sys.executable).with_name("ray")
    if not ray.is_file():
        raise ConfigError(
            f"{ray}: expected Ray's command beside Python, found nothing. Install it there: "
            "pip install --force-reinstall --no-deps ray"
        )
    # Not in Ray's own folder: every Ray that starts on this machine would join what it finds there.
    folder = Path(tempfile.gettempdir()) / f"vexpress-ray-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise ConfigError(f"{folder}: expected a folder of this user for Ray, found another's")
    folder.chmod(0o700)  # Ray opens the folder it is given to everybody: it gets one inside
    where = [f"--port={RAY[1]}", f"--temp-dir={folder / 'r'}", "--include-dashboard=false"]
    return [str(ray), "start", "--head", "--block", "--disable-usage-stats", *where]


def _with_ray(ray: bool) -> str:
    return "with Ray" if ray else "without Ray"


def _require_password(host: str) -> None:
    if host not in LOOPBACK and not os.environ.get(SERVER):
        raise ConfigError(
            f"--host {host}: whoever reaches this server can run code here. Expected a password "
            f"in {SERVER}, such as user:secret, found none."
        )


def _free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _any_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _file(state: Path) -> Path:
    return state / "stack.json"


def _save(state: Path, stack: Stack) -> None:
    write_text(_file(state), stack.model_dump_json(indent=1))
