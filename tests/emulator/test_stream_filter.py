"""Filter expressions: the language, and which messages a subscribe then gets."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import quote

import pytest

from presence_async import InvalidArgumentError
from presence_async.emulator import PresenceEmulator
from presence_async.emulator.stream_filter import StreamFilter

from .conftest import Wire

META = {
    "priority": "high",
    "level": 7,
    "on": True,
    "user": {"role": "admin"},
    "tags": ["a", "b", 3],
    "uuid": "bob",
}
DATA = {"text": "Hello * World", "score": 80.0, "list": [{"x": 1}]}


@pytest.mark.parametrize(
    ("expression", "passes"),
    [
        ('meta.priority == "high"', True),
        ("priority == 'high'", True),
        ("uuid != 'bob'", False),
        ("uuid != 'eve'", True),
        ("meta.priority == 'High'", False),
        ("meta.level == 7", True),
        ("meta.level == '7'", False),
        ("meta.level > 5 && data.score >= 80", True),
        ("meta.level < 7 || data.score <= 79.5", False),
        ("meta.priority > 5", False),
        # And binds closer than or.
        ("level == 7 || level == 8 && level == 9", True),
        ("(level == 7 || level == 8) && level == 9", False),
        ("!(data.score > 100)", True),
        # Arithmetic, multiplication before addition, from the left.
        ("meta.level % 5 == 2", True),
        ("1 + 2 * 3 == level && 10 - 2 - 1 == level", True),
        ("data.score / 0 > 1", False),
        ("-level == 0 - 7", True),
        # Patterns and parts.
        ("data.text LIKE 'hello*'", True),
        ("data.text LIKE '*WORLD'", True),
        ("data.text LIKE 'hello'", False),
        ("priority LIKE '*' && priority LIKE 'h*i*h' && priority LIKE 'HIGH'", True),
        ("priority LIKE 'hig*igh' || priority LIKE '*g*i*'", False),
        (r"data.text LIKE '*\* world'", True),
        (r"meta.priority LIKE 'hi\*'", False),
        ("data.text CONTAINS 'World'", True),
        ("data.text contains 'world'", False),
        ("meta.tags CONTAINS 'b' && meta.tags CONTAINS 3", True),
        ("meta.tags CONTAINS 'c'", False),
        ("meta.tags LIKE 'B'", True),
        # Into objects and lists.
        ('meta.user["role"] == "admin" && meta.user.role == "admin"', True),
        ("meta.tags[1] == 'b' && data.list[0]['x'] == 1", True),
        ("meta.tags[9] == 'b'", False),
        # What does not exist matches nothing.
        ("meta.nothing == 1", False),
        ("meta.nothing != 1", False),
        ("meta.nothing + 1 > 0 || meta.level == 7", True),
        ("meta.on == 'true'", True),
    ],
)
def test_the_documented_language(expression: str, passes: bool) -> None:  # a parameter
    assert StreamFilter.parse(expression).passes(meta=META, data=DATA) is passes


@pytest.mark.parametrize("value", [None, "text", [1], 5], ids=repr)
def test_messages_without_fields_match_nothing(value: Any) -> None:
    assert not StreamFilter.parse("uuid != 'bob'").passes(meta=value, data=value)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (" ", "cannot be read at ' '"),
        ("meta.x ==", "ends too early"),
        ("meta.x = 1", "cannot be read at '= 1'"),
        ("data.* == 1", "does not end before '.'|cannot be read at '"),
        ("data == 1", "names no field of 'data'"),
        ("(meta.x == 1", "ends too early"),
        ("meta.x == 1)", r"does not end before '\)'"),
        ("meta.x[y] == 1", "'y' where an index is expected"),
        ("meta.x[1 == 1", r"misses a '\]'"),
        ("meta.x[" + "9" * 5000 + "]", f"'{'9' * 20}' where an index is expected"),
        ("== 1", "'==' where a value is expected"),
        ("region in ('east')", "uses 'in', which the emulator does not support"),
        ("(" * 51, "nests deeper than 50 levels"),
        ("x" + "+x" * 200, "has more than 300 parts"),
    ],
)
def test_what_is_malformed_is_named(expression: str, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        StreamFilter.parse(expression)


@pytest.mark.parametrize(
    "expression",
    ["(" * 50 + "x" + ")" * 50, "!" * 299 + "x", "x" + "+x" * 149],
    ids=["groups", "nots", "sums"],
)
def test_the_largest_expressions_overflow_nothing(expression: str) -> None:
    StreamFilter.parse(expression).passes(meta=META, data=DATA)


@pytest.mark.parametrize("message", [{"x": 10**400}, {"x": [10**400]}])
def test_numbers_too_large_for_a_float_are_infinite(message: Any) -> None:
    def passes(expression: str) -> bool:
        return StreamFilter.parse(expression).passes(meta=None, data=message)

    assert passes("data.x > 1 || data.x[0] > 1")
    assert not passes("data.x LIKE '*' || data.x CONTAINS 1")


def test_hostile_patterns_take_no_time() -> None:
    started_s = time.perf_counter()
    text = StreamFilter.parse(f"data.text LIKE '{'*a' * 40}*b'")

    assert not text.passes(meta=None, data={"text": "a" * 300})
    assert time.perf_counter() - started_s < 1


def filtered(expression: str) -> str:
    return f"&filter-expr={quote(expression, safe='')}"


async def test_a_poll_ends_only_for_messages_that_pass(sdk: Any) -> None:
    wants = filtered("meta.n > 1 || pn_action == 'leave'")
    cursor, _ = await sdk.subscribe("a,a-pnpres", "eve", more=wants)

    async def publish(n: int) -> None:
        await sdk.get(
            f"/publish/demo/demo/0/a/0/%22m{n}%22?uuid=bob&meta=%7B%22n%22:{n}%7D"
        )

    async with asyncio.TaskGroup() as group:
        poll = group.create_task(sdk.subscribe("a,a-pnpres", "eve", cursor, wants))
        await asyncio.sleep(1)
        await publish(1)
        await sdk.beat("bob", "a")
        await asyncio.sleep(1)
        assert not poll.done()
        await publish(2)
    cursor, messages = poll.result()
    assert [(m["d"], m["u"]) for m in messages] == [("m2", {"n": 2})]

    # Those that came between polls are filtered, too, and events like messages.
    await publish(1)
    await sdk.leave("bob", "a")
    _, messages = await sdk.subscribe("a,a-pnpres", "eve", cursor, wants)
    assert [m["d"]["action"] for m in messages] == ["leave"]
    assert messages[0]["u"]["pn_action"] == "leave"


@pytest.mark.parametrize("cursor", ["0", "17000000000000000"], ids=["first", "poll"])
async def test_a_malformed_filter_is_a_481(wire: Wire, cursor: str) -> None:
    target = f"/v2/subscribe/demo/a/0?uuid=eve&tt={cursor}{filtered('meta.x ==')}"
    status, body = await wire.get(target)

    assert (status, body["status"]) == (481, 481)
    assert body["message"] == "Invalid filter-expr: ends too early"


async def test_a_keyset_without_stream_filtering_refuses_filters(wire: Wire) -> None:
    async with PresenceEmulator(stream_filtering=False) as emulator:
        other = wire.to(emulator)
        plain = "/v2/subscribe/demo/a/0?uuid=eve&tt=0"
        status, body = await other.get(plain + filtered("meta.x == 1"))

        assert (status, body["message"]) == (
            400,
            "Stream filtering is off for this subscribe key",
        )
        assert (await other.get(plain))[0] == 200
