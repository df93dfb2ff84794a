"""Commands on a real pseudo-terminal: what is left of it, and of the presence."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from presence_async import PresenceClient
from presence_async.emulator import PresenceEmulator

pytestmark = pytest.mark.real_time


class OnTerminal:
    """A command on a terminal of 80 columns; the test is the person before it."""

    def __init__(self, process: asyncio.subprocess.Process, person: int) -> None:
        self.process = process
        self._person = person
        self.seen = ""

    async def sees(self, words: str) -> None:
        """Read until some words were on the screen."""
        read = asyncio.get_running_loop().run_in_executor
        while words not in self.seen:
            self.seen += (await read(None, os.read, self._person, 65536)).decode()

    async def press_ctrl_c(self) -> int:
        os.write(self._person, b"\x03")
        return await self.process.wait()


@asynccontextmanager
async def on_terminal(*arguments: str, **environment: str) -> AsyncIterator[OnTerminal]:
    """Run a command with a terminal of its own, as its foreground process."""
    person, end = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", IN_FRONT, *arguments),
        env={**os.environ, "TERM": "xterm", "LINES": "12", **environment},
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    )
    os.close(end)
    try:
        async with asyncio.timeout(20):
            yield OnTerminal(process, person)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(person)


# Makes the terminal the controlling one, so that Ctrl-C is a signal.
IN_FRONT = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from presence_async.__main__ import main
main()
"""


async def test_watch_takes_the_screen_and_gives_it_back(
    client: PresenceClient, service: dict[str, str]
) -> None:
    await client.join("lobby", user_id="alice\x1b[2J", state={"mood": "ok"})
    async with on_terminal("watch", "lobby", "news", **service) as terminal:
        await terminal.sees("nobody is here")
        await client.join("news", user_id="carol")
        await terminal.sees("carol (1 here)")
        code = await terminal.press_ctrl_c()
        await terminal.sees("\x1b[?1049l")

    assert code == 0
    assert terminal.seen.startswith("\x1b[?1049h")
    assert r"alice\x1b[2J" in terminal.seen
    assert "\x1b[2J" not in terminal.seen
    assert "\x1b[?25h\x1b[?1049l" in terminal.seen


async def test_join_shows_the_time_left_and_leaves(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    async with on_terminal("join", "lobby", NO_COLOR="1", **service) as terminal:
        await terminal.sees("bob on lobby: fresh")
        await terminal.sees("s ago, every 149 s")
        assert set(emulator.occupants("lobby")) == {"bob"}
        code = await terminal.press_ctrl_c()
        await terminal.sees("leaving lobby\r\n")

    assert code == 0
    assert "fresh  4m 5" in terminal.seen
    assert "\x1b[3" not in terminal.seen  # no colour
    assert not emulator.occupants("lobby")


async def test_everybody_is_read_with_a_bar_on_the_terminal(
    client: PresenceClient, service: dict[str, str]
) -> None:
    await asyncio.gather(*[client.heartbeat("big", user_id=f"u{n}") for n in range(9)])
    async with on_terminal("here-now", "big", "--all", **service) as terminal:
        await terminal.sees("9/9")
        await terminal.sees("└")
        code = await terminal.process.wait()

    assert code == 0
    assert "9 presences on 1 channel" in terminal.seen
