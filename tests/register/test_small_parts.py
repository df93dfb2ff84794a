"""Keys that cannot collide, registers by a text, and who holds a user."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from presence_async.register import (
    MemoryRegister,
    SqliteRegister,
    ValkeyRegister,
    register_at,
)
from presence_async.register.server_commands import Keys
from presence_async.register.values import (
    Attendance,
    Beaten,
    Claiming,
    Holding,
    Release,
    Wish,
    Worker,
)

ME = Worker("sub", "me", 1, "host 7")

texts = st.text("a:{}%", max_size=5)
parts = st.tuples(texts, texts, texts)


def all_keys(namespace: str, subscribe_key: str, last: str) -> list[bytes]:
    keys = Keys.of(namespace, subscribe_key)
    return [keys.hub, keys.due, keys.user(last), keys.held(last)]


@given(parts, parts)
def test_keys_do_not_collide(
    one: tuple[str, str, str], two: tuple[str, str, str]
) -> None:
    first, second = all_keys(*one), all_keys(*two)

    assert len({*first}) == 4
    for (i, mine), (j, theirs) in itertools.product(
        enumerate(first), enumerate(second)
    ):
        is_shared = one[:2] == two[:2] and (i < 2 or one[2] == two[2])
        assert (mine == theirs) == (i == j and is_shared)


def test_a_cluster_places_a_key_by_its_user() -> None:
    assert Keys.of("chat", "sub").user("alice") == b"chat:{sub:alice}"


def test_a_url_means_a_server_and_all_else_a_file(tmp_path: Path) -> None:
    assert isinstance(register_at("valkey://localhost"), ValkeyRegister)
    assert isinstance(register_at(str(tmp_path / "r.db")), SqliteRegister)


async def test_it_is_said_who_holds_a_user() -> None:
    now = [1000.0]
    register = MemoryRegister(clock=lambda: now[0])
    await register.depart(ME, Attendance(10.0))
    await register.hold(ME, [Holding("alice", (Wish("lobby", 300, '"secret"'),))])
    await register.beaten(ME, [Beaten("alice", ("lobby",), 300, 0.5)])
    now[0] += 2
    await register.claim(ME, [Claiming("alice", 140)], 10.0)
    gone = Worker("sub", "gone")
    await register.hold(gone, [Holding("alice", (Wish("hall", 60),))])
    await register.release(gone, [Release("alice", ("hall",), 20)], 10.0)

    said = (await register.holders("sub", "alice")).to_dict()

    assert said == {
        "user_id": "alice",
        "holders": [
            {
                "worker_id": "me",
                "label": "host 7",
                "is_alive": True,
                "gone_in_s": 13.0,
                "timeouts_s": {"lobby": 300},
            }
        ],
        "names": [
            {
                "name": "lobby",
                "beat_age_s": 2.5,
                "beaten_by": "me",
                "timeout_s": 300,
                "expires_in_s": 297.5,
                "claimed_by": "me",
                "lingers_s": None,
                "leaving_s": 0.0,
                "has_state": True,
            },
            {
                "name": "hall",
                "beat_age_s": None,
                "beaten_by": "",
                "timeout_s": 0,
                "expires_in_s": None,
                "claimed_by": "",
                "lingers_s": 20.0,
                "leaving_s": 0.0,
                "has_state": False,
            },
        ],
    }
    assert "secret" not in json.dumps(said)


async def test_nobody_holds_a_stranger() -> None:
    said = await MemoryRegister().holders("sub", "bob")

    assert said.to_dict() == {"user_id": "bob", "holders": [], "names": []}


async def test_a_dead_worker_is_gone() -> None:
    now = [1000.0]
    register = MemoryRegister(clock=lambda: now[0])
    await register.depart(ME, Attendance(10.0))
    await register.hold(ME, [Holding("alice", (Wish("lobby", 300),))])
    now[0] += 16

    [holder] = (await register.holders("sub", "alice")).holders

    assert (holder.is_alive, holder.gone_in_s) == (False, 0.0)
