"""Commands as tests run them: in this process, or in one of their own."""

from __future__ import annotations

import asyncio
import os
import sys

from typer.testing import CliRunner

from presence_async.cli.app import app

Result = tuple[int | None, str, str]


def invoke(*arguments: str, charset: str = "utf-8", **environment: str) -> Result:
    """Run a command in this process and thread, which saves starting a Python."""
    runner = CliRunner(charset=charset)
    outcome = runner.invoke(app, arguments, env=environment)
    if not isinstance(outcome.exception, (SystemExit, type(None))):
        raise outcome.exception
    return outcome.exit_code, outcome.stdout, outcome.stderr


async def ask(*arguments: str, charset: str = "utf-8", **environment: str) -> Result:
    """Run a command in another thread, while the emulator answers in this one."""
    return await asyncio.to_thread(invoke, *arguments, charset=charset, **environment)


async def start(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    """Start a command as a user does; the streams are pipes.

    Never in development mode: asyncio's debug mode would report slow steps to stderr,
    and on a busy machine any step may be slow.
    """
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PUBNUB_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "presence_async"),
        *arguments,
        env=inherited | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(*arguments: str, **environment: str) -> Result:
    """Run a command in a process of its own until it ends."""
    process = await start(*arguments, **environment)
    out, errors = await process.communicate()
    return process.returncode, out.decode(), errors.decode()


async def read_line(process: asyncio.subprocess.Process) -> str:
    """Return the next line that a command prints."""
    assert process.stdout is not None
    return (await process.stdout.readline()).decode()


async def read_line_and_close(process: asyncio.subprocess.Process) -> None:
    """Read one line and go away, as ``head -1`` does."""
    await read_line(process)
    assert process.stdout is not None
    process.stdout._transport.close()  # type: ignore[attr-defined]  # a closed pipe


async def errors_of(process: asyncio.subprocess.Process) -> bytes:
    """Return what a command writes to stderr until it ends."""
    assert process.stderr is not None
    errors = await process.stderr.read()
    await process.wait()
    return errors
