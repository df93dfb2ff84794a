"""``holders``: what a register knows of a user, as a table and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from presence_async.cli.holders import print_holders
from presence_async.register import SqliteRegister
from presence_async.register.holders import HeldName, UserHolder, UserHolders
from presence_async.register.values import (
    Attendance,
    Beaten,
    Holding,
    Release,
    Wish,
    Worker,
)

from .commands import ask, invoke, run

pytestmark = pytest.mark.real_time

KEY = ["--subscribe-key", "demo"]
ONE = Worker("demo", "w1", 1, "web1:4711")
TWO = Worker("demo", "w2", 1, "web2:4712")


@pytest.fixture
async def register(tmp_path: Path) -> AsyncIterator[SqliteRegister]:
    """A register of two workers."""
    register = SqliteRegister(str(tmp_path / "presence.db"))
    await register.open()
    for worker in (ONE, TWO):
        await register.depart(worker, Attendance(10))
    yield register
    await register.close()


async def hold(register: SqliteRegister, worker: Worker, *wishes: Wish) -> None:
    await register.hold(worker, [Holding("alice", wishes)])


async def test_the_table_says_who_holds_and_who_sends_heartbeats(
    register: SqliteRegister, tmp_path: Path
) -> None:
    await hold(register, ONE, Wish("lobby", 300), Wish(",rooms", 300))
    await hold(register, TWO, Wish("lobby", 60, '{"a":1}'))
    await register.beaten(TWO, [Beaten("alice", ("lobby",), 60, 0.0)])
    file = str(tmp_path / "presence.db")

    code, out, errors = await run("holders", "alice", "--register", file, *KEY)

    assert (code, errors) == (0, "")
    out = re.sub(r"\d+ s (?=ago|│ )", "N s ", " ".join(out.split()))
    assert out.startswith("alice is held by 2 workers ")
    assert "│ w1 │ web1:4711 │ in N s │ group rooms, N s │" in out
    assert "│ │ │ │ lobby, N s │" in out
    assert "│ w2 │ web2:4712 │ in N s │ lobby, N s │" in out
    assert "│ group rooms │ unknown │ none known │ │" in out
    assert "│ lobby │ in N s │ N s ago │ has a state │" in out
    assert "│ │ │ by web2:4712 │ │" in out


async def test_the_environment_names_the_register(
    register: SqliteRegister, tmp_path: Path
) -> None:
    await hold(register, ONE, Wish("lobby", 300))
    named = {
        "PRESENCE_REGISTER_URL": str(tmp_path / "presence.db"),
        "PUBNUB_SUBSCRIBE_KEY": "demo",
    }

    code, out, _ = await ask("holders", "alice", "--json", **named)

    told = json.loads(out)
    assert code == 0
    assert [x["label"] for x in told["holders"]] == ["web1:4711"]
    assert [x["name"] for x in told["names"]] == ["lobby"]


async def test_a_user_who_is_to_be_left_is_held_by_nobody(
    register: SqliteRegister, tmp_path: Path
) -> None:
    await hold(register, ONE, Wish("lobby", 300))
    await register.release(ONE, [Release("alice", ("lobby",), 20.0)], 10)
    file = str(tmp_path / "presence.db")

    code, out, _ = await ask("holders", "alice", "--register", file, *KEY)

    assert code == 0
    assert out.startswith("nobody holds alice\n")
    assert "left in 20 s unless held again" in " ".join(out.replace("│", " ").split())


async def test_nobody_is_no_failure(register: SqliteRegister, tmp_path: Path) -> None:
    file = str(tmp_path / "presence.db")

    answer = await ask("holders", "bob", "--register", file, *KEY)

    assert answer == (0, "nobody holds bob\n", "")


def test_a_register_that_is_away_ends_with_1_and_one_line(tmp_path: Path) -> None:
    file = str(tmp_path / "presence.db")

    code, out, errors = invoke("holders", "bob", "--register", file, *KEY)

    assert (code, out) == (1, "")
    assert errors.startswith("presence-async: no register at ")
    assert errors.count("\n") == 1
    assert not (tmp_path / "presence.db").exists()


def test_a_server_that_is_away_ends_with_1_and_one_line() -> None:
    pytest.importorskip("valkey", reason="the extra valkey is not installed")
    url = "valkey://someone:hidden@127.0.0.1:9"

    code, out, errors = invoke("holders", "bob", "--register", url, *KEY)

    assert (code, out) == (1, "")
    assert errors.count("\n") == 1
    assert "hidden" not in errors


def test_a_file_that_is_something_else_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear Alice")

    code, _, errors = invoke("holders", "bob", "--register", str(file), *KEY)

    assert code == 2
    assert "--register: " in errors
    assert [x.name for x in tmp_path.iterdir()] == ["letter.txt"]
    assert file.read_text() == "Dear Alice"


def test_without_a_register_it_says_what_is_missing() -> None:
    code, out, errors = invoke("holders", "alice", *KEY)

    assert (code, out) == (2, "")
    assert errors.startswith("presence-async: --register: is missing; name the URL")
    assert "PRESENCE_REGISTER_URL" in errors


def printed(
    capsys: pytest.CaptureFixture[str],
    *,
    user_id: str = "alice",
    holders: Sequence[UserHolder] = (),
    names: Sequence[HeldName] = (),
) -> str:
    print_holders(UserHolders(user_id, tuple(holders), tuple(names)))
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_the_table_tells_the_dead_and_what_is_on_its_way(
    capsys: pytest.CaptureFixture[str],
) -> None:
    dead = UserHolder("w1", "", is_alive=False, gone_in_s=0, timeouts_s={"lobby": 300})
    name = HeldName(
        *("lobby", 12.4, "w0", 300, 0.0, "w1", 3.0, 4.6),
        has_state=False,
    )

    out = printed(capsys, holders=[dead], names=[name])

    assert "alice is held by 1 worker " in out
    assert "w1 unknown dead lobby, 300 s" in out
    assert "lobby over 12 s ago" in out
    assert "by w0" in out
    for part in ("w1 sends a heartbeat now", "left in 3 s unless", "5 s at most"):
        assert part in out
    assert "state" not in out


def test_names_from_the_network_control_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hostile = "\x1b[2J"
    holder = UserHolder(
        hostile, hostile, is_alive=True, gone_in_s=9, timeouts_s={hostile: 9}
    )
    name = HeldName(
        *(hostile, 1.0, hostile, 9, 8.0, hostile, None, 0.0),
        has_state=True,
    )

    out = printed(capsys, user_id=hostile, holders=[holder], names=[name])

    assert "\x1b" not in out
    assert out.count("\\x1b[2J") == 8
