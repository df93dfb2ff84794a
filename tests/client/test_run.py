"""``presence_async.run``: signals end a program in order."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

import presence_async
from presence_async import InvalidArgumentError
from presence_async.emulator import PresenceEmulator

PROGRAM = """
import asyncio, sys
import presence_async
from presence_async import PresenceClient, PresenceConfig

async def main():
    config = PresenceConfig(subscribe_key="demo", user_id="bob", origin=sys.argv[1])
    async with PresenceClient(config) as client:
        for n in range(20):
            await client.join("lobby", user_id=f"user-{n}")
        print("in", flush=True)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if sys.argv[2] == "stubborn":
                return
            if sys.argv[2] == "hangs":
                print("cancelled", flush=True)
                await asyncio.sleep(60)
            raise

presence_async.run(main())
"""


def test_it_returns_what_the_program_returns() -> None:
    async def main() -> int:
        await asyncio.sleep(0)
        return 7

    before = signal.getsignal(signal.SIGTERM)

    assert presence_async.run(main()) == 7
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_cancel_that_no_signal_caused_is_raised() -> None:
    async def main() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        presence_async.run(main())


def test_in_another_thread_it_is_asyncio_run() -> None:
    async def main() -> int:
        return await asyncio.to_thread(presence_async.run, inner())

    async def inner() -> int:
        await asyncio.sleep(0)
        return 3

    assert asyncio.run(main()) == 3


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("number", "how", "code"),
    [
        (signal.SIGTERM, "plain", 143),
        (signal.SIGINT, "plain", -signal.SIGINT),
        (signal.SIGHUP, "plain", 129),
        (signal.SIGTERM, "stubborn", 0),
    ],
)
async def test_a_signal_ends_a_program_with_leaves(
    emulator: PresenceEmulator, number: signal.Signals, how: str, code: int
) -> None:
    process = await started(emulator, how)
    assert len(emulator.occupants("lobby")) == 20

    process.send_signal(number)
    await process.wait()

    assert not emulator.occupants("lobby")
    assert {e.action for e in emulator.events("lobby")} == {"join", "leave"}
    assert process.returncode == code


HANDS_OVER = """
import asyncio, sys
import presence_async
from presence_async import PresenceClient, PresenceConfig

async def main():
    config = PresenceConfig(subscribe_key="demo", user_id="bob", origin=sys.argv[1])
    if sys.argv[2] == "open":
        client = await PresenceClient(config).start()
        await client.join("lobby")
        print("in", flush=True)
        await asyncio.sleep(60)
    async with PresenceClient(config) as client, client.join("lobby"):
        async with asyncio.TaskGroup() as group:
            await client.join("lobby", user_id="carol")
            group.create_task(stay(client))

async def stay(client):
    async with client.join("lobby", user_id="eve", linger_s=1):
        print("in", flush=True)
        await asyncio.sleep(60)

presence_async.run(main(), hand_over_s=20)
"""


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("number", "how", "users"),
    [
        (signal.SIGTERM, "blocks", {"bob", "carol", "eve"}),
        (signal.SIGINT, "open", {"bob"}),
    ],
)
async def test_a_signal_hands_users_over(
    emulator: PresenceEmulator, number: signal.Signals, how: str, users: set[str]
) -> None:
    process = await started(emulator, how, HANDS_OVER)

    process.send_signal(number)
    await process.wait()

    last = {
        request.user_id: request.params["heartbeat"]
        for request in emulator.requests.of("heartbeat")
    }
    assert last == dict.fromkeys(users, "20")
    assert {e.action for e in emulator.events("lobby")} == {"join"}
    assert process.returncode == (143 if number == signal.SIGTERM else -number)


def test_invalid_seconds_are_rejected_before_the_program_runs() -> None:
    has_run = False

    async def main() -> None:
        nonlocal has_run
        has_run = True

    with pytest.raises(InvalidArgumentError, match="hand_over_s"):
        presence_async.run(main(), hand_over_s=-1)

    assert not has_run


@pytest.mark.real_time
async def test_a_second_signal_ends_the_process_at_once(
    emulator: PresenceEmulator,
) -> None:
    process = await started(emulator, "hangs")

    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"cancelled\n"
    process.send_signal(signal.SIGTERM)
    await process.wait()

    assert process.returncode == -signal.SIGTERM


async def started(
    emulator: PresenceEmulator, how: str, program: str = PROGRAM
) -> asyncio.subprocess.Process:
    origin = f"http://{emulator.origin}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, origin, how),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"in\n"
    return process


@pytest.mark.parametrize(
    ("number", "ending"),
    [
        (signal.SIGTERM, SystemExit(143)),
        (signal.SIGHUP, SystemExit(129)),
        (signal.SIGINT, KeyboardInterrupt()),
    ],
)
def test_signal_handlers_are_restored_afterwards(
    number: signal.Signals, ending: BaseException
) -> None:
    async def main() -> None:
        signal.raise_signal(number)
        await asyncio.sleep(60)

    taken = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(each) for each in taken]

    for _ in range(2):
        with pytest.raises(type(ending)) as caught:
            presence_async.run(main())
        assert caught.value.args == ending.args

    after = [signal.getsignal(each) for each in taken]
    assert after == before


def test_a_hangup_that_was_ignored_stays_ignored() -> None:
    async def main() -> int:
        signal.raise_signal(signal.SIGHUP)
        await asyncio.sleep(0.01)
        return 7

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        assert presence_async.run(main()) == 7
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_error_while_ending_is_raised() -> None:
    async def main() -> None:
        signal.raise_signal(signal.SIGTERM)
        try:
            await asyncio.sleep(60)
        finally:
            raise KeyError("at the end")

    with pytest.raises(KeyError, match="at the end"):
        presence_async.run(main())
