"""Does one core carry the emulator under 2,000 idle polls and 1,000 heartbeats/s?

    python benchmarks/emulator_load.py            # half a minute
    python benchmarks/emulator_load.py --quick    # a tenth of that

Example: ``python benchmarks/emulator_load.py | grep share`` shows the share of a core.

The emulator runs as ``presence-async emulate`` on one core. The clients are bare
streams on the other core, as cheap as can be. Beats are sent on an open loop: due times
are fixed in advance, whatever the answers take. What is said of a join is the time from
sending the heartbeat until the last watcher has read its reply; ten times the watchers
may take eleven times as long.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import attrs
from measuring import beside, steal_share
from reporting import Gate, conclude, judged, options_of, print_table, progress

HEAD_END = b"\r\n\r\n"
TIMES = 10
MOST = {
    "share of a core": 0.6,
    "10 times the watchers": 11.0,
    "Ctrl-C with open polls, s": 3.0,
}
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@attrs.frozen(kw_only=True)
class Load:
    """How much at once, and for how long."""

    polls: int
    beats_per_s: int
    seconds: int
    watchers: int
    joins: int


@attrs.define
class Connection:
    """One connection, one request at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def to(cls, port: int) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, target: str) -> None:
        self.writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    async def receive(self) -> bytes:
        head = (await self.reader.readuntil(HEAD_END)).lower()
        assert b" 200 " in head, head
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        return await self.reader.readexactly(length)

    async def ask(self, target: str) -> bytes:
        self.send(target)
        return await self.receive()


async def connections(port: int, number: int) -> list[Connection]:
    return [await Connection.to(port) for _ in range(number)]


async def hold(port: int, channels: list[str]) -> list[Connection]:
    """Open a poll for each channel given; returns once the service holds them."""
    opened = await connections(port, len(channels))
    reply = json.loads(await opened[0].ask("/v2/subscribe/demo/any-pnpres/0?uuid=w"))
    for connection, channel in zip(opened, channels, strict=True):
        connection.send(
            f"/v2/subscribe/demo/{channel}-pnpres/0?uuid=w&tt={reply['t']['t']}"
        )
    # Asked after them on a connection of its own: answered once they are read.
    for connection in await connections(port, 10):
        await connection.ask("/time/0")
        connection.writer.close()
    return opened


async def beats(port: int, load: Load, pid: int) -> dict[str, float]:
    """Return what beats cost while polls are held, and how long they take."""
    polls = await hold(port, [f"idle-{number}" for number in range(load.polls)])
    lanes = await connections(port, 50)
    took_s: list[float] = []
    began_s, began_cpu_s = time.perf_counter(), cpu_s(pid)

    async def lane(number: int) -> None:
        due = range(number, load.beats_per_s * load.seconds, len(lanes))
        for beat in due:
            due_s = began_s + beat / load.beats_per_s
            await asyncio.sleep(due_s - time.perf_counter())
            await lanes[number].ask(
                f"/v2/presence/sub-key/demo/channel/c{beat % 500}/heartbeat"
                f"?uuid=u{beat % 5000}&heartbeat=300"
            )
            took_s.append(time.perf_counter() - due_s)

    await asyncio.gather(*[lane(number) for number in range(len(lanes))])
    elapsed_s = time.perf_counter() - began_s
    spent_s = cpu_s(pid) - began_cpu_s
    for connection in polls + lanes:
        connection.writer.close()
    took_s.sort()
    return {
        "heartbeats/s": len(took_s) / elapsed_s,
        "share of a core": spent_s / elapsed_s,
        "CPU of a heartbeat, us": spent_s / len(took_s) * 1e6,
        "p50 of a heartbeat, ms": median(took_s) * 1000,
        "p99 of a heartbeat, ms": took_s[len(took_s) * 99 // 100] * 1000,
    }


async def fan_out(port: int, load: Load) -> dict[str, float]:
    """Return how long a join takes to all who watch its channel."""
    lane = await Connection.to(port)
    few, many = [], []
    for number in range(load.joins):
        few.append(await _fan_out(port, lane, f"few-{number}", load.watchers // TIMES))
        many.append(await _fan_out(port, lane, f"many-{number}", load.watchers))
    return {
        "join to the last watcher, ms": median(many) * 1000,
        "10 times the watchers": median(m / f for f, m in zip(few, many, strict=True)),
    }


async def _fan_out(port: int, lane: Connection, channel: str, number: int) -> float:
    watchers = await hold(port, [channel] * number)
    began_s = time.perf_counter()
    lane.send(
        f"/v2/presence/sub-key/demo/channel/{channel}/heartbeat?uuid=bob&heartbeat=300"
    )
    replies = await asyncio.gather(*[watcher.receive() for watcher in watchers])
    took_s = time.perf_counter() - began_s
    await lane.receive()
    assert all(b'"join"' in reply for reply in replies)
    for watcher in watchers:
        watcher.writer.close()
    return took_s


async def stop(port: int, load: Load, process: subprocess.Popen[str]) -> float:
    """Return how long Ctrl-C takes while polls are held, in seconds."""
    polls = await hold(port, ["idle"] * load.polls)
    began_s = time.perf_counter()
    process.send_signal(signal.SIGINT)
    await asyncio.to_thread(process.wait, 10)
    took_s = time.perf_counter() - began_s
    for connection in polls:
        connection.writer.close()
    return took_s


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1]
    return sum(int(field) for field in fields.split()[11:13]) / TICKS_PER_S


async def measure(load: Load) -> dict[str, float]:
    with beside("-m", "presence_async", "emulate") as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        progress(f"heartbeats for {load.seconds} s beside idle polls …")
        found = await beats(port, load, process.pid)
        progress("a join and its watchers …")
        found |= await fan_out(port, load)
        progress("Ctrl-C …")
        took_s = await stop(port, load, process)
    return {**found, "Ctrl-C with open polls, s": took_s}


def gates_of(load: Load, found: dict[str, float]) -> list[Gate]:
    return [
        Gate(
            what="heartbeats/s, share of what is asked",
            value=found["heartbeats/s"] / load.beats_per_s,
            limit=0.95,
            is_least=True,
        ),
        *[
            Gate(what=what, value=found[what], limit=limit)
            for what, limit in MOST.items()
        ],
    ]


def main() -> int:
    options = options_of(__doc__).parse_args()
    load = Load(polls=2000, beats_per_s=1000, seconds=20, watchers=1000, joins=9)
    if options.quick:
        load = Load(polls=200, beats_per_s=500, seconds=1, watchers=100, joins=3)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    stolen = steal_share()
    found = asyncio.run(measure(load))
    print_table(("emulator", ""), [*attrs.asdict(load).items(), *found.items()])
    outcome = judged(gates_of(load, found), quick=options.quick, stolen=stolen())
    values = {**attrs.asdict(load), **found}
    return conclude("emulator_load", outcome, values, "see each")


if __name__ == "__main__":
    sys.exit(main())
