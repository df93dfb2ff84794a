"""The register on a server: what breaks, and what it says then."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from presence_async import InvalidArgumentError, RegisterError
from presence_async.register import ValkeyRegister
from presence_async.register.values import (
    CALM,
    UNKNOWN,
    Attendance,
    Beaten,
    Claiming,
    Departing,
    Holding,
    Leaving,
    Release,
    Wish,
    Worker,
)

from .conftest import StartServer
from .servers import Server

pytestmark = pytest.mark.real_time

valkey = pytest.importorskip("valkey", reason="needs presence-async[valkey]")
pytest.importorskip("valkey.asyncio")

ME, OTHER = Worker("sub", "me"), Worker("sub", "other")
ALICE = Holding("alice", (Wish("lobby", 300),))
CLAIM = [Claiming("alice", 140)]

Ask = Callable[..., Awaitable[Any]]


async def asked(server: Server, *command: str | bytes | int) -> Any:
    """Send a command of the test's own."""
    async with valkey.asyncio.Valkey.from_url(server.url) as client:
        return await client.execute_command(*command)


async def until(server: Server, wanted: Any, *command: str) -> None:
    """Ask a server until it gives an answer, since it does not say by itself."""
    for _ in range(500):
        with contextlib.suppress(valkey.exceptions.ResponseError):
            if await asked(server, *command) == wanted:
                return
        await asyncio.sleep(0.02)
    raise AssertionError(f"no {wanted} to {command}")


async def opened(server: Server, **options: Any) -> ValkeyRegister:
    register = ValkeyRegister(server.url, **options)
    await register.open()
    return register


@pytest.fixture
async def register(server: Server) -> AsyncIterator[ValkeyRegister]:
    await asked(server, "FLUSHALL")
    register = await opened(server)
    yield register
    await register.close()


async def everything(register: ValkeyRegister) -> None:
    """Carry out each operation, with something to do."""
    await register.depart(ME, Attendance(10.0))
    await register.hold(ME, [ALICE])
    await register.claim(ME, CLAIM, 10.0)
    await register.beaten(ME, [Beaten("alice", ("lobby",), 300, 0.1)])
    await register.release(ME, [Release("alice", ("lobby",))], 10.0)
    await register.departed(ME, [Departing("alice", ("lobby",))])
    await register.hold(ME, [ALICE])
    await register.release(ME, [Release("alice", ("lobby",), 20)], 10.0)
    last = Attendance(10.0, is_closing=True, is_last=True)
    assert (await register.depart(ME, last)).leaves == (Leaving("alice", ("lobby",)),)
    await register.departed(ME, [Departing("alice", ("lobby",))])
    await register.hold(ME, [ALICE])
    await register.holders("sub", "alice")


async def test_a_forgotten_script_is_said_again(
    register: ValkeyRegister, server: Server
) -> None:
    for _ in range(2):
        await everything(register)
        await asked(server, "SCRIPT", "FLUSH")

    assert await register.claim(ME, CLAIM, 10.0) == [CALM]


async def test_a_server_that_is_killed_is_away_until_it_is_back(
    start_server: StartServer,
) -> None:
    server = start_server()
    register = await opened(server)
    await register.hold(ME, [ALICE])
    epoch = (await register.depart(ME, Attendance(10.0))).epoch

    server.kill()
    async with asyncio.timeout(2):
        with pytest.raises(RegisterError, match="valkey: "):
            await register.claim(ME, CLAIM, 10.0)

    server.restart()
    assert await register.claim(ME, CLAIM, 10.0) == [UNKNOWN]
    departures = await register.depart(ME, Attendance(10.0, had_epoch=epoch))
    assert departures.is_new
    assert departures.epoch != epoch
    await register.close()


async def test_a_server_that_is_away_at_first_is_tried_again(
    start_server: StartServer,
) -> None:
    server = start_server()
    server.kill()
    register = ValkeyRegister(server.url)
    with pytest.raises(RegisterError):
        await register.open()

    server.restart()

    assert await register.hold(ME, [ALICE])
    await register.close()


async def test_a_server_that_does_not_answer_is_away_after_a_second(
    start_server: StartServer,
) -> None:
    server = start_server()
    register = await opened(server)
    await asked(server, "CLIENT", "PAUSE", 1500, "ALL")

    async with asyncio.timeout(1.4):
        with pytest.raises(RegisterError, match="no answer within 1 s"):
            await register.claim(ME, CLAIM, 10.0)

    await asked(server, "PING")
    assert await register.claim(ME, CLAIM, 10.0) == [UNKNOWN]
    await register.close()


async def test_a_cancelled_operation_leaves_no_answer_behind(
    register: ValkeyRegister,
) -> None:
    await register.hold(ME, [ALICE])
    for steps in range(1, 30):
        task = asyncio.ensure_future(register.claim(ME, CLAIM, 10.0))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

        stranger = [Claiming("stranger", 140)]
        assert await register.claim(ME, stranger, 10.0) == [UNKNOWN]


async def test_an_evicted_record_is_unknown(
    register: ValkeyRegister, server: Server
) -> None:
    await register.hold(ME, [ALICE])
    await asked(server, "DEL", "presence:{sub:alice}")

    assert await register.claim(ME, CLAIM, 10.0) == [UNKNOWN]


async def test_a_full_server_makes_room_or_is_away(start_server: StartServer) -> None:
    server = start_server("--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru")
    register = await opened(server)
    wish = Wish("lobby", 300, f'"{"x" * 5000}"')
    for i in range(1000):
        await register.hold(ME, [Holding(f"user {i}", (wish,))])
    everybody = [Claiming(f"user {i}", 140) for i in range(1000)]
    assert UNKNOWN in await register.claim(ME, everybody, 10.0)

    await asked(server, "CONFIG", "SET", "maxmemory-policy", "noeviction")
    await asked(server, "CONFIG", "SET", "maxmemory", "1mb")

    with pytest.raises(RegisterError, match=r"(?i)oom|maxmemory"):
        await register.hold(ME, [ALICE])
    await register.close()


async def test_another_server_that_takes_over_begins_another_epoch(
    start_server: StartServer,
) -> None:
    """As Sentinel does it: a replica becomes the server, perhaps with writes lost."""
    first, second = start_server("--repl-diskless-sync-delay", "0"), start_server()
    register = await opened(first)
    epoch = (await register.depart(ME, Attendance(10.0))).epoch
    await register.hold(ME, [ALICE])
    await register.close()
    await asked(second, "REPLICAOF", "127.0.0.1", first.port)
    await until(second, 1, "EXISTS", "presence:{sub:alice}")
    await asked(second, "REPLICAOF", "NO", "ONE")

    register = await opened(second)
    released = await register.release(ME, [Release("alice", ("lobby",))], 10.0)
    departures = await register.depart(ME, Attendance(10.0, had_epoch=epoch))

    # In the guard nobody departs, since other holders may have been lost.
    assert released[0].leave == ()
    assert departures.epoch != epoch
    assert not departures.is_new
    assert departures.lingering == 1
    await register.close()


async def test_a_replica_is_no_register(start_server: StartServer) -> None:
    first, second = start_server(), start_server()
    register = await opened(second)
    await asked(second, "REPLICAOF", "127.0.0.1", first.port)

    with pytest.raises(RegisterError, match=r"(?i)read.?only"):
        await register.hold(ME, [ALICE])

    # Its name may mean another server by now.
    others = await asked(second, "CLIENT", "LIST", "TYPE", "normal")
    assert others.count(b"\n") == 1
    await register.close()


@pytest.mark.parametrize("package", ["valkey", "redis"])
@pytest.mark.parametrize("decodes", [False, True], ids=["bytes", "text"])
async def test_a_given_client_is_used_and_stays_open(
    server: Server, package: str, decodes: bool
) -> None:
    await asked(server, "FLUSHALL")
    kinds = pytest.importorskip(f"{package}.asyncio", reason=f"no {package} here")
    kind = kinds.Valkey if package == "valkey" else kinds.Redis
    client = kind(unix_socket_path=server.url[7:], decode_responses=decodes)
    register = ValkeyRegister(client)
    await register.open()

    await everything(register)

    await register.close()
    assert await client.ping()
    await client.aclose()


@pytest.mark.parametrize("package", ["valkey", "redis"])
async def test_a_client_of_a_cluster_may_be_given(
    start_server: StartServer, package: str
) -> None:
    kinds = pytest.importorskip(f"{package}.asyncio", reason=f"no {package} here")
    kind = kinds.ValkeyCluster if package == "valkey" else kinds.RedisCluster
    server = start_server("--cluster-enabled", "yes")
    await asked(server, "CLUSTER", "ADDSLOTS", *range(16384))
    await until(server, None, "GET", "any")
    client = kind(host="127.0.0.1", port=server.port)
    register = ValkeyRegister(client)
    await register.open()

    await everything(register)
    before = (await register.depart(ME, Attendance(10.0))).epoch
    await asked(server, "CLUSTER", "BUMPEPOCH")
    after = (await register.depart(ME, Attendance(10.0, had_epoch=before))).epoch

    # The epoch of a cluster grows when a replica takes over, of any of its servers.
    assert after != before
    await register.close()
    await client.aclose()


async def test_each_command_touches_one_key_and_none_outside_the_namespace(
    register: ValkeyRegister, server: Server
) -> None:
    seen: list[str] = []
    async with valkey.asyncio.Valkey.from_url(server.url) as client:
        async with client.monitor() as monitor:
            await everything(register)
            await client.set("done", 1)
            while not seen or "done" not in seen[-1]:
                seen.append((await monitor.next_command())["command"])
        await client.delete("done")

    called = [x for x in seen if x.startswith("EVALSHA")]
    assert called
    for command in called:
        count, key = command.split()[2:4]
        assert count == "1"
        assert key.startswith("presence:")
    kept = await asked(server, "KEYS", "*")
    assert sorted(kept) == [
        b"presence:held:{sub}:me",
        b"presence:hub:{sub}",
        b"presence:{sub:alice}",
    ]


async def test_everything_expires_in_the_end(
    register: ValkeyRegister, server: Server
) -> None:
    await everything(register)
    await register.hold(ME, [ALICE])
    await register.release(ME, [Release("alice", (), 20)], 10.0)
    await register.hold(OTHER, [ALICE._replace(user_id="bob")])

    for key in await asked(server, "KEYS", "*"):
        assert 0 < await asked(server, "TTL", key) <= 86_400, key


async def test_namespaces_share_nothing(server: Server) -> None:
    await asked(server, "FLUSHALL")
    one, two = [await opened(server, namespace=x) for x in ("one", "two")]
    await one.hold(ME, [ALICE])

    assert await one.claim(ME, CLAIM, 10.0) == [CALM]
    assert await two.claim(ME, CLAIM, 10.0) == [UNKNOWN]
    await one.close()
    await two.close()


async def test_its_connection_ends_when_the_last_client_closes(server: Server) -> None:
    before = await asked(server, "CLIENT", "LIST")
    register = await opened(server)
    await register.open()
    await register.close()
    await register.hold(ME, [ALICE])
    await register.close()

    after = await asked(server, "CLIENT", "LIST")

    # But for the connection of the test itself.
    assert after.count(b"\n") == before.count(b"\n")
    with pytest.raises(RegisterError, match="not open"):
        await register.hold(ME, [ALICE])


async def test_a_wrong_password_is_not_repeated(start_server: StartServer) -> None:
    server = start_server("--requirepass", "right")
    register = ValkeyRegister(f"valkey://:s3cret@127.0.0.1:{server.port}")

    with pytest.raises(RegisterError) as failure:
        await register.open()

    assert "s3cret" not in str(failure.value) + repr(failure.value.__context__)
    await register.close()


@pytest.mark.parametrize(
    "url",
    ["valkey://:s3cret/#@:host", "redis://a:s3cret@h:x9", "valkey://a:s3cret#x@h"],
)
async def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    pytest.importorskip("valkey", reason="needs presence-async[valkey]")
    register = ValkeyRegister(url)

    with pytest.raises((InvalidArgumentError, RegisterError)) as failure:
        await register.open()

    assert "s3cret" not in str(failure.value) + repr(failure.value.__context__)
    await register.close()


def test_a_url_of_something_else_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="url: must begin with one of"):
        ValkeyRegister("http://:s3cret@host")


async def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkey.asyncio", None)

    with pytest.raises(ImportError, match=re.escape("'presence-async[valkey]'")):
        await ValkeyRegister("valkey://localhost").open()


def test_one_register_serves_one_event_loop_after_another(
    start_server: StartServer,
) -> None:
    register = ValkeyRegister(start_server().url)

    async def life() -> None:
        await register.open()
        # At once, so that they wait for each other.
        await asyncio.gather(*[register.hold(ME, [ALICE]) for _ in range(3)])
        await register.close()

    asyncio.run(life())
    asyncio.run(life())
