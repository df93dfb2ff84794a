"""Importing the package stays cheap: what each way to begin loads, and what it defines.

The times are those of ``benchmarks/imports.py``; what makes them is counted here.
"""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

pytestmark = pytest.mark.real_time

# What measures coverage, for one, is there before.
BEFORE = """
import sys
before = set(sys.modules)
"""
TELL = """
import json
ours = [name for name in sys.modules if name.split(".")[0] == "presence_async"]
others = {name.split(".")[0] for name in set(sys.modules) - before}
attrs_classes = {
    value.__qualname__
    for name in ours
    for value in vars(sys.modules[name]).values()
    if isinstance(value, type) and "__attrs_attrs__" in vars(value)
}
json.dump([ours, sorted(others), sorted(attrs_classes)], sys.stderr)
"""
HELP = """
import sys
from presence_async.__main__ import main
sys.argv[1:] = ["--help"]
try:
    main()
except SystemExit as end:
    assert not end.code
"""
EVERY_NAME = """
import presence_async
for name in presence_async.__all__:
    getattr(presence_async, name)
"""


class Loaded:
    """What a fresh process has loaded after some code."""

    def __init__(self, told: list[list[str]]) -> None:
        ours, others, attrs_classes = told
        self.ours = {name.removeprefix("presence_async").lstrip(".") for name in ours}
        self.others = set(others)
        self.attrs_classes = set(attrs_classes)

    def of(self, *parts: str) -> set[str]:
        """Return the modules of ours that lie in some packages, or are them."""
        return {x for x in self.ours if any(f"{x}.".startswith(f"{p}.") for p in parts)}


async def loaded_by(code: str) -> Loaded:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", BEFORE + code + TELL),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await process.communicate()
    assert process.returncode == 0, told.decode()
    return Loaded(json.loads(told))


async def test_the_package_alone_loads_nothing_else() -> None:
    loaded = await loaded_by("import presence_async")

    assert loaded.ours == {"", "first_use"}
    assert not loaded.others & {"aiohttp", "asyncio", "attrs", "msgspec", "pytest"}


@pytest.mark.parametrize("name", ["testing", "emulator", "register"])
async def test_packages_with_lazy_names_load_nothing_else(name: str) -> None:
    loaded = await loaded_by(f"import presence_async.{name}")

    assert loaded.ours == {"", "first_use", name}
    assert not loaded.others & {"aiohttp", "asyncio", "attrs", "msgspec", "pytest"}


async def test_the_pytest_plugin_loads_pytest_alone() -> None:
    loaded = await loaded_by("import presence_async.testing.plugin")

    assert loaded.ours == {"", "first_use", "testing", "testing.plugin"}
    assert not loaded.others & {"aiohttp", "asyncio", "attrs", "msgspec"}


async def test_a_client_loads_no_more_than_every_open_client_needs() -> None:
    loaded = await loaded_by("from presence_async import PresenceClient")

    assert "aiohttp" in loaded.others
    assert not loaded.others & {"html", "pytest", "rich", "typer", "unittest"}
    assert not loaded.of("cli", "emulator", "testing", "roster", "client.feed")
    assert not loaded.of("explain", "client.witness", "client.fact_keeper")
    assert not loaded.of(
        "client.channel_sync",
        "client.channel_view",
        "client.event_buffer",
        "client.event_stream",
        "client.heartbeat_manager",
        "client.joining",
        "client.lease",
        "client.live_count",
        "client.observed",
        "client.occupants",
        "client.reports",
        "client.roster",
        "client.roster_sync",
        "client.run",
        "client.snapshot_requests",
        "client.telling",
        "protocol.channel_groups",
        "protocol.events",
        "protocol.here_now",
        "protocol.messages",
        "protocol.occupancy",
        "protocol.publish",
        "protocol.subscribe",
        "protocol.where_now",
    )


async def test_a_client_defines_only_public_values_as_attrs_classes() -> None:
    """Each takes 0.4 ms; a struct or a named tuple less than a tenth of that."""
    client = await loaded_by("from presence_async import PresenceClient")
    everything = await loaded_by(EVERY_NAME)

    assert client.attrs_classes == {
        *("AuthToken", "ExponentialRetry", "LinearRetry", "NoRetry"),
        *("PresenceConfig", "UserState"),
    }
    assert everything.attrs_classes - client.attrs_classes == {
        *("ChannelOccupancy", "ClosedPresence", "CloseReport", "HeartbeatStats"),
        *("Decision", "Explanation"),
        *("HeartbeatFinished", "LoopBlocked", "RequestFinished", "StreamChange"),
        "RegisterStats",
        *("HereNow", "HereNowCounts", "LeaseChange", "Occupant", "WhereNow"),
    }


async def test_the_help_loads_neither_the_library_nor_rich() -> None:
    loaded = await loaded_by(HELP)

    assert not loaded.others & {"aiohttp", "attrs", "msgspec", "pytest", "rich"}
    assert not loaded.of("client", "presence", "protocol", "roster", "testing")
    assert loaded.of("emulator") == {"emulator"}
