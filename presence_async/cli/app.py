"""The application: registers the commands and runs the one that is named.

A command imports the library when it runs, by way of the package's lazy names, and rich
when it draws: a help text needs neither, and takes a quarter of the time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import typer
from typer.core import TyperGroup

from .demo import demo
from .doctor import doctor
from .emulate import emulate
from .explain import explain
from .get_state import get_state
from .here_now import here_now
from .holders import holders
from .join import join
from .output import complain
from .plan import plan
from .set_state import set_state
from .verify_emulator import verify_emulator
from .watch import watch
from .where_now import where_now

__all__ = ["run"]

_NAME = "presence-async"

# Typer exports only this one of the errors of wrong usage.
_UsageError: Any = typer.BadParameter.__base__


class _Commands(TyperGroup):
    """The commands, whose wrong usage is told on one line."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: Any = None,  # noqa: ANN401  # typer's own
        **extra: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Read the arguments; without any, typer shows the help."""
        with _told_on_one_line() if args else nullcontext():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        """Run a command."""
        with _told_on_one_line():
            return super().invoke(ctx)


@contextmanager
def _told_on_one_line() -> Iterator[None]:
    try:
        yield
    except _UsageError as error:
        context = error.ctx
        is_named = context is not None and context.parent is not None
        command = f"{_NAME} {context.info_name}" if is_named else _NAME
        words = error.format_message().rstrip(".")
        complain(f"{words}. See {command} --help", command)
        raise typer.Exit(error.exit_code) from None


app: typer.Typer = typer.Typer(
    name=_NAME,
    cls=_Commands,
    help="Ask PubNub who is present, and keep users present.",
    epilog=(
        "Keys come from options or from PUBNUB_SUBSCRIBE_KEY, PUBNUB_USER_ID,"
        " PUBNUB_AUTH, PUBNUB_ORIGIN, PUBNUB_PROXY and their like, the register from"
        " --register or PRESENCE_REGISTER_URL; secrets from there only."
        " Exit code: 0 for success, also of a command that runs until a signal; 1 if"
        " the service or the network failed, or nobody reads the output; 2 for wrong"
        " usage; 130 or 143 for a command that Ctrl-C or SIGTERM cut short."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo)
app.command("here-now")(here_now)
app.command("where-now")(where_now)
app.command("get-state")(get_state)
app.command("set-state")(set_state)
app.command("join")(join)
app.command("watch")(watch)
app.command("holders")(holders)
app.command("plan")(plan)
app.command("explain")(explain)
app.command("emulate")(emulate)
app.command("doctor")(doctor)
app.command("verify-emulator")(verify_emulator)


def run() -> None:
    """Run the command named on the command line.

    None runs without its output: its stdout would be the first file or connection that
    it opens.
    """
    if sys.stdout is None:
        complain("stdout is closed; write >/dev/null to have no output")
        sys.exit(1)
    try:
        app()
    except OSError as error:
        # A help text could not be written. Commands handle their own output.
        complain(str(error))
        sys.exit(1)
