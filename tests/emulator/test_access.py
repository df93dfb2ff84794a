"""Access control: the names that a grant covers, and the refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presence_async import InvalidArgumentError
from presence_async.emulator import Grant
from presence_async.emulator.access_manager import RIGHTS, AccessManager
from presence_async.emulator.grant import access_table, covers
from presence_async.emulator.router import OPERATION_NAMES

TOKEN = "t"


def asked(
    manager: AccessManager,
    operation: str = "here now",
    channels: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
    *,
    token: str | None = TOKEN,
    user_id: str | None = "bob",
    now_s: float = 0,
) -> Any:
    """Return the body of the refusal, ``None`` for a pass."""
    reply = manager.refusal(
        operation, channels, groups, token=token, user_id=user_id, now_s=now_s
    )
    return None if reply is None else json.loads(reply.body)


def managed(*grants: Grant, leave_needs_read: bool = True) -> AccessManager:
    return AccessManager(access_table({"t": grants}), leave_needs_read=leave_needs_read)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("lobby", "lobby", True),
        ("lobby", "lobby2", False),
        ("lobby", "lobby-pnpres", False),
        ("lobby-pnpres", "lobby-pnpres", True),
        ("lobby-pnpres", "lobby", False),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.*", "a.", False),
        ("a.*", "a", False),
        ("a.*", "ab", False),
        ("a.*", "a.*", True),
        ("a.*", "a.b-pnpres", False),
        ("a.*-pnpres", "a.b-pnpres", True),
        ("a.*-pnpres", "a.b", False),
        ("a.b.*", "a.b.c", True),
        ("*", "anything", True),
        ("*", "any.thing-pnpres", True),
        ("a*", "ab", False),
    ],
)
def test_patterns_cover_one_level(pattern: str, name: str, expected: bool) -> None:
    assert covers(pattern, name) is expected


@given(st.text(alphabet="ab.*-", max_size=8), st.text(alphabet="ab.*-", max_size=8))
def test_a_name_covers_itself_and_never_a_presence_name(a: str, b: str) -> None:
    assert covers(a, a)
    if a != "*":
        assert not covers(a, f"{b}-pnpres")


def test_every_operation_has_its_right() -> None:
    assert OPERATION_NAMES - set(RIGHTS) == {
        "where now",
        "time",
        "publish",
        "signal",
    }
    assert {name for name, right in RIGHTS.items() if right == "manage"} == {
        "add channels",
        "remove channels",
        "list channels",
        "delete group",
        "list groups",
    }


def test_without_access_control_nobody_needs_a_token() -> None:
    assert asked(AccessManager(None), channels=("a",), token=None) is None


def test_only_the_names_refused_are_named_groups_with_a_colon() -> None:
    manager = managed(Grant(channels=["a", "b.*"], channel_groups="g"))

    mixed = asked(manager, "subscribe", ("a", "b.x", "c", "a-pnpres"), ("g", "h"))

    assert mixed == {
        "status": 403,
        "error": True,
        "message": "Forbidden",
        "service": "Access Manager",
        "payload": {"channels": ["c", "a-pnpres"], "channel-groups": [":h"]},
    }
    assert asked(manager, "heartbeat", ("a", "b.x"), ("g",)) is None
    assert asked(manager, "heartbeat", ("c",))["payload"] == {"channels": ["c"]}
    assert asked(manager, "heartbeat", (), ("h",))["payload"] == {
        "channel-groups": [":h"]
    }


@pytest.mark.parametrize("token", [None, "", "unknown"])
def test_without_a_valid_token_every_name_is_refused(token: str | None) -> None:
    manager = managed(Grant(channels="*"))

    assert asked(manager, channels=("a", "b"), token=token)["payload"] == {
        "channels": ["a", "b"]
    }


def test_a_presence_name_is_granted_by_itself() -> None:
    manager = managed(Grant(channels=["a-pnpres"], channel_groups=["g-pnpres"]))

    assert asked(manager, "subscribe", ("a-pnpres",), ("g-pnpres",)) is None
    assert asked(manager, "subscribe", ("a",), ("g",)) is not None


def test_managing_a_group_is_a_right_of_its_own() -> None:
    reader = managed(Grant(channel_groups="g"))
    keeper = managed(Grant(channel_groups="g", read=False, manage=True))

    assert asked(reader, "add channels", (), ("g",)) is not None
    assert asked(keeper, "add channels", (), ("g",)) is None
    assert asked(keeper, "here now", (), ("g",)) is not None


def test_a_request_without_names_needs_a_grant_on_everything() -> None:
    some, every = managed(Grant(channels="a")), managed(Grant(channels="*"))

    assert "payload" not in asked(some)
    assert asked(every) is None
    assert asked(every, "list groups") is not None
    assert asked(managed(Grant(channel_groups="*", manage=True)), "list groups") is None


def test_where_now_takes_no_right_and_leave_only_as_configured() -> None:
    manager = managed(Grant(channels="a"), leave_needs_read=False)

    assert asked(manager, "where now", token=None) is None
    assert asked(manager, "leave", ("b",), token=None) is None
    assert asked(managed(), "leave", ("b",)) is not None


def test_a_token_of_one_user_is_refused_to_others() -> None:
    manager = managed(Grant(channels="a", user_id="bob"))

    assert asked(manager, channels=("a",)) is None
    assert asked(manager, channels=("a",), user_id="eve")["message"] == "Forbidden"


def test_a_token_expires_is_revoked_and_granted_again() -> None:
    manager = managed(Grant(channels="a", for_s=10))
    asked(manager, channels=("a",), now_s=5)  # the first request starts the time

    assert asked(manager, channels=("a",), now_s=14.9) is None
    assert asked(manager, channels=("a",), now_s=15)["message"] == "Token is expired"
    manager.revoke("t")
    assert asked(manager, channels=("a",), now_s=20) == {
        "status": 403,
        "error": True,
        "message": "Token is revoked",
        "service": "Access Manager",
    }
    manager.grant("t", [Grant(channels="b")], now_s=30)
    assert asked(manager, channels=("b",), now_s=31) is None
    assert asked(manager, channels=("a",), now_s=31) is not None
    manager.reset()
    assert asked(manager, channels=("a",), now_s=40) is None


def test_the_first_grant_turns_access_control_on() -> None:
    manager = AccessManager(None)
    manager.revoke("unheard of")
    manager.grant("t", [Grant(channels="a")], now_s=0)

    assert asked(manager, channels=("a",)) is None
    assert asked(manager, channels=("a",), token="other") is not None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Grant(channels=[1]),  # type: ignore[list-item]  # what is refused
        lambda: Grant(channel_groups=None),  # type: ignore[arg-type]  # what is refused
        lambda: Grant(for_s=0),
        lambda: Grant(read="yes"),  # type: ignore[arg-type]  # what is refused
        lambda: Grant.from_dict({"channel": "a"}),
        lambda: access_table({"t": "lobby"}),  # type: ignore[dict-item]  # what is refused
        lambda: access_table(["t"]),  # type: ignore[arg-type]  # what is refused
    ],
    ids=["name", "names", "time", "flag", "field", "grant", "table"],
)
def test_invalid_grants_are_refused(make: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        make()
