"""Imports point one way, as the map says."""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

import presence_async

PACKAGE = Path(presence_async.__file__).parent

# What each layer may import of the package, besides itself.
LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "first_use": set(),
    "checks": {"errors"},
    "deadlines": set(),
    "protocol": {"errors"},
    "register": {"protocol", "errors", "first_use"},
    # What is said to a register, as ``protocol`` is what is said to the service.
    "presence": {"protocol", "deadlines", "errors", "register.values"},
    "roster": {"protocol", "errors"},
    "planning": {"presence.pace", "roster.schedule", "protocol", "checks", "errors"},
    "explain": {"protocol", "errors"},
    "client": {
        "explain",
        "presence",
        "roster",
        "register.register",
        "register.values",
        "register.hub",
        "protocol",
        "checks",
        "deadlines",
        "errors",
        "first_use",
    },
    "emulator": {
        *("client.config", "protocol", "checks", "deadlines", "errors", "first_use"),
    },
    "prometheus": {"client"},
    "otel": {"client"},
    "testing": {"client", "emulator", "protocol", "errors", "first_use"},
    "doctor": {"client", "emulator", "protocol", "errors"},
    "cli": {
        *("client", "register", "emulator", "testing", "doctor", "protocol", "errors"),
        "explain",
        "planning",
        "",
    },
    "__init__": set(),
    "__main__": {"cli"},
}
THIRD_PARTY: dict[str, set[str]] = {
    "checks": {"attrs"},
    "protocol": {"attrs", "msgspec"},
    "roster": {"attrs"},
    "planning": {"attrs"},
    "explain": {"attrs", "msgspec"},
    "presence": {"attrs"},
    "client": {"attrs"},
    "client.direct": {"aiohttp", "yarl"},
    "client.direct_connection": {"aiohttp"},
    "client.pool": {"aiohttp"},
    "client.transport": {"attrs", "aiohttp", "yarl"},
    "emulator": {"attrs", "msgspec"},
    "emulator.http_server": {"aiohttp"},
    "emulator.request_body": {"aiohttp"},
    "emulator.server": {"attrs", "msgspec", "aiohttp"},
    "doctor": {"attrs", "msgspec"},
    "testing.anyio_plugin": {"pytest"},
    "testing.async_fixtures": {"pytest"},
    "testing.async_plugin": {"pytest", "pytest_asyncio"},
    "testing.plugin": {"pytest"},
    "prometheus": {"prometheus_client"},
    "otel": {"opentelemetry"},
    "register.sqlite_shelf": {"msgspec"},
    "register.server_link": {"valkey"},
    "cli": {"typer", "rich"},
}
FORBIDDEN_STDLIB: dict[str, set[str]] = {
    "checks": {"asyncio", "time", "random", "socket"},
    "deadlines": {"asyncio", "time", "random", "socket"},
    # Random numbers only come in as an argument, which needs its type.
    "presence": {"asyncio", "time", "logging", "socket"},
    "protocol": {"asyncio", "time", "random", "socket"},
    "register.values": {"asyncio", "time", "random", "socket"},
    "register.record": {"asyncio", "time", "random", "socket"},
    "register.holding": {"asyncio", "time", "random", "socket"},
    "register.leaving": {"asyncio", "time", "random", "socket"},
    "register.hub": {"asyncio", "time", "random", "socket"},
    "register.ledger": {"asyncio", "time", "random", "socket"},
    "roster": {"asyncio", "time", "socket", "logging"},
    "planning": {"asyncio", "time", "socket", "logging"},
    "explain": {"asyncio", "time", "random", "socket", "logging"},
    "emulator": {"asyncio", "time", "socket"},
    "emulator.expiry_timer": {"time", "socket"},
    "emulator.held_polls": {"time", "socket"},
    "emulator.http_server": {"time", "socket"},
    "emulator.request_body": {"time", "socket"},
    "emulator.server": {"socket"},
    "client": {"time", "socket"},
    "client.wall_clock": {"socket"},
    "doctor": {"time", "random"},
}
# Shared parts of the protocol; every other module of it is an operation.
PROTOCOL_PARTS = {
    "encoding",
    "envelope",
    "events",
    "exchange",
    "identity",
    "json_codec",
    "messages",
    "names",
    "occupancy",
    "presence_params",
    "presence_path",
    "rendered_message",
    "signature",
    "splitting",
    "timetoken",
}
# An operation in another spelling may build on the one that it spells.
SPELLINGS = {"old_subscribe": "subscribe"}


def imports(module: str, text: str) -> Iterator[str]:
    """Name every module imported anywhere in a text, relative ones resolved."""
    package = module.split(".")[:-1]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            yield start
            if not node.module:
                yield from (f"{start}.{alias.name}" for alias in node.names)


def setting(table: dict[str, set[str]], inner: str) -> set[str]:
    return table.get(inner, table.get(inner.split(".", maxsplit=1)[0], set()))


def faults(module: str, text: str) -> list[str]:
    """Say which imports of a module the map forbids."""
    inner = module.removeprefix("presence_async").lstrip(".") or "__init__"
    layer = inner.split(".")[0]
    found = []
    for name in imports(module, text):
        if name.split(".")[0] == "presence_async":
            if not allowed_inside(inner, layer, name):
                found.append(name)
        elif name.split(".")[0] in sys.stdlib_module_names:
            if name.split(".")[0] in setting(FORBIDDEN_STDLIB, inner):
                found.append(name)
        elif name.split(".")[0] not in setting(THIRD_PARTY, inner):
            found.append(name)
    return found


def allowed_inside(inner: str, layer: str, name: str) -> bool:
    target = name.removeprefix("presence_async").lstrip(".")
    if target.split(".", maxsplit=1)[0] not in LAYERS:
        target = ""  # a public name of the package itself
    if inner == "__init__":
        # Only for type checkers: at run time names are resolved when they are used.
        return True
    if layer == "protocol" and target.startswith("protocol."):
        part, own = target.split(".")[1], inner.rsplit(".", maxsplit=1)[-1]
        return part in PROTOCOL_PARTS or part in {own, SPELLINGS.get(own)}
    if target.split(".")[0] == layer:
        return True
    return any(
        target == allowed or (allowed != "" and target.startswith(f"{allowed}."))
        for allowed in LAYERS[layer]
    )


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    # A package's own file counts as a module of it, so that relative imports resolve.
    return ".".join(parts)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_layer_may(path: Path) -> None:
    assert faults(module_name(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("protocol.heartbeat", "import asyncio"),
        ("protocol.heartbeat", "import time"),
        ("protocol.heartbeat", "from random import random"),
        ("protocol.heartbeat", "import aiohttp"),
        ("protocol.heartbeat", "from .leave import LeaveOperation"),
        ("protocol.heartbeat", "from ..client.config import PresenceConfig"),
        ("roster.state", "import asyncio"),
        ("roster.state", "import logging"),
        ("roster.state", "from ..client.roster import Roster"),
        ("presence.engine", "import asyncio"),
        ("presence.engine", "import time"),
        ("presence.engine", "import logging"),
        ("presence.engine", "from ..client.retry import NoRetry"),
        ("client.pipeline", "import aiohttp"),
        ("client.pipeline", "import yarl"),
        ("client.pipeline", "import time"),
        ("client.pipeline", "import msgspec"),
        ("client.pipeline", "from ..emulator import PresenceEmulator"),
        ("client.pipeline", "def f():\n    from presence_async.cli import app"),
        ("client.config", "if TYPE_CHECKING:\n    import aiohttp"),
        ("emulator.occupancy", "import time"),
        ("emulator.occupancy", "import aiohttp"),
        ("emulator.server", "from ..client.client import PresenceClient"),
        ("testing.leaks", "from ..cli import app"),
        ("testing.leaks", "import pytest"),
        ("testing.plugin", "import aiohttp"),
        ("testing.plugin", "def f():\n    import pytest_asyncio"),
        ("errors", "from .protocol import names"),
        ("errors", "import attrs"),
        ("__main__", "from .client.client import PresenceClient"),
    ],
)
def test_a_forbidden_import_is_found(module: str, line: str) -> None:
    assert faults(f"presence_async.{module}", line) != []


def import_graph() -> dict[str, set[str]]:
    """Return which files of the package each file imports, type checking included."""
    files = {module_name(path).removesuffix(".__init__"): path for path in modules()}
    graph = {
        name: imported_files(module_name(path), path.read_text(encoding="utf-8"), files)
        for name, path in files.items()
    }
    # The package itself only forwards to the files that define its names.
    return {**graph, "presence_async": set()}


def imported_files(module: str, text: str, files: Collection[str]) -> set[str]:
    found = set(imports(module, text)) & set(files)
    own = module.removesuffix(".__init__")
    # ``from . import names`` is about the file alone, not about its package's names.
    parents = {name for name in found if own.startswith(f"{name}.")}
    named = {name.rpartition(".")[0] for name in found}
    return found - (parents & named) - {own}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return the files of one circle of imports; nothing if there is none."""
    done: set[str] = set()
    for start, targets in graph.items():
        todo = [(start, iter(sorted(targets)))] if start not in done else []
        path = [start]
        while todo:
            node, rest = todo[-1]
            target = next(rest, None)
            if target is None:
                done.add(node)
                todo.pop()
                path.pop()
            elif target in path:
                return path[path.index(target) :]
            elif target not in done:
                todo.append((target, iter(sorted(graph.get(target, ())))))
                path.append(target)
    return []


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circle(import_graph()) == []


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, ["b", "c"]),
        ({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": {"a"}}, ["a", "b", "d"]),
    ],
)
def test_a_circle_is_found(graph: dict[str, set[str]], expected: list[str]) -> None:
    assert circle(graph) == expected


def test_the_import_graph_sees_what_is_imported() -> None:
    graph = import_graph()

    assert "presence_async.presence.user" in graph["presence_async.presence.engine"]
    assert "presence_async.client.transport" in graph["presence_async.client.pipeline"]


def test_the_package_itself_imports_only_what_finds_its_names() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    eager = [n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom))]

    assert [ast.unparse(node) for node in eager] == [
        "from __future__ import annotations",
        "from typing import TYPE_CHECKING",
        "from .first_use import on_first_use",
    ]
