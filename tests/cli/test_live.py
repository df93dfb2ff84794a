"""Drawing on a terminal again and again: when, and what is left of it at the end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import os
import select
import termios
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, redirect_stdout

import pytest
from rich.live import Live
from rich.text import Text

from presence_async.cli.live import live_screen, live_status, redraw
from presence_async.cli.output import OutputClosedError, is_live_terminal


class Terminal:
    """A pseudo-terminal that is stdout; ``written`` is what has arrived there."""

    def __init__(self) -> None:
        self._reader, end = os.openpty()
        self.stdout = os.fdopen(end, "w", encoding="utf-8")

    def written(self) -> str:
        """Return what has arrived."""
        text = b""
        while select.select([self._reader], [], [], 0.3)[0]:
            text += os.read(self._reader, 65536)
        return text.decode()

    def hang_up(self) -> None:
        if self._reader >= 0:
            os.close(self._reader)
        self._reader = -1

    def close(self) -> None:
        self.hang_up()
        with contextlib.suppress(OSError):  # what could not be written
            self.stdout.close()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("LINES", "5")
    yield terminal
    terminal.close()


class Picture:
    """Counts how often it is drawn."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def draw(self) -> Text:
        self.times.append(asyncio.get_running_loop().time() * 1000 // 1)
        return Text(f"picture {len(self.times)}")


async def test_it_is_drawn_at_once_each_second_and_soon_after_a_change(
    terminal: Terminal,
) -> None:
    picture, changed = Picture(), asyncio.Event()
    begun = asyncio.get_running_loop().time() * 1000 // 1
    with redirect_stdout(terminal.stdout), live_screen() as live:
        drawing = asyncio.create_task(redraw(live, picture.draw, changed))
        await asyncio.sleep(2.4)
        for _ in range(30):
            changed.set()
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        drawing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await drawing

    drawn_at = [round((time - begun) / 10) * 10 for time in picture.times]
    # The burst of 30 changes in 0.3 s is drawn at most four times a second.
    assert drawn_at == [0, 1000, 2000, 2400, 2650, 2900]
    assert "picture 6" in terminal.written()


@pytest.mark.parametrize("failure", [None, RuntimeError, asyncio.CancelledError])
def test_a_screen_is_given_back_however_it_ends(
    terminal: Terminal, failure: type[BaseException] | None
) -> None:
    expected = pytest.raises(failure) if failure else contextlib.nullcontext()
    with redirect_stdout(terminal.stdout), expected, live_screen() as live:
        live.update(Text("hello"), refresh=True)
        if failure is not None:
            raise failure

    written = terminal.written()
    assert written.startswith("\x1b[?1049h")
    assert "hello" in written
    assert written.endswith("\x1b[?25h\x1b[?1049l")


async def test_a_stopped_terminal_does_not_stop_the_program(terminal: Terminal) -> None:
    picture = Picture()
    with redirect_stdout(terminal.stdout), live_status() as live:
        drawing = asyncio.create_task(redraw(live, picture.draw, asyncio.Event()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        termios.tcflow(terminal.stdout, termios.TCOOFF)  # as Ctrl-S does
        await asyncio.sleep(5.5)
        stopped = len(picture.times)
        termios.tcflow(terminal.stdout, termios.TCOON)
        await asyncio.sleep(2)
        drawing.cancel()
        await asyncio.wait({drawing})

    assert stopped == 1
    assert len(picture.times) == 3


@pytest.mark.parametrize("place", [live_screen, live_status], ids=["screen", "line"])
async def test_a_terminal_that_is_gone_ends_it(
    terminal: Terminal, place: Callable[[], AbstractContextManager[Live]]
) -> None:
    with (
        redirect_stdout(terminal.stdout),
        pytest.raises(OutputClosedError),
        place() as live,
    ):
        terminal.hang_up()
        async with asyncio.timeout(60):
            await redraw(live, Picture().draw, asyncio.Event())


class Dying(io.StringIO):
    """A terminal to which writing fails from some moment on."""

    is_gone = False

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.is_gone:
            raise OSError(errno.EIO, "Input/output error")
        return super().write(text)


def test_a_cancel_stays_a_cancel_when_the_terminal_is_gone() -> None:
    stdout = Dying()
    with (
        redirect_stdout(stdout),
        pytest.raises(asyncio.CancelledError),
        live_screen(),
    ):
        stdout.is_gone = True
        raise asyncio.CancelledError


def test_only_a_terminal_with_a_name_is_drawn_on(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redirect_stdout(terminal.stdout):
        assert is_live_terminal()
        monkeypatch.setenv("TERM", "dumb")
        assert not is_live_terminal()
        monkeypatch.delenv("TERM")
        assert not is_live_terminal()
