"""Held polls: however they end, nothing of them stays."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from presence_async.emulator.channel_groups import ChannelGroups
from presence_async.emulator.held_polls import HeldPolls
from presence_async.emulator.message_log import MessageLog, QueuedMessage
from presence_async.emulator.open_polls import OpenPolls, matching_names
from presence_async.emulator.pending_poll import PendingPoll
from presence_async.protocol.messages import Message, Published
from presence_async.protocol.rendered_message import RenderedMessage
from presence_async.protocol.subscribe import SubscribeOperation


def a_poll(*channels: str, groups: tuple[str, ...] = ()) -> PendingPoll:
    operation = SubscribeOperation(
        subscribe_key="demo", user_id="u", channels=channels, channel_groups=groups
    )
    return PendingPoll(operation, 1, ())


def queued(channel: str, position: int = 2, at_s: float = 0.0) -> QueuedMessage:
    published = Published(position, 1)
    payload = msgspec.Raw(b"{}")
    message = Message(channel=channel, payload=payload, published=published)
    rendered = RenderedMessage.of(message, "demo")
    return QueuedMessage(position, channel, at_s, lambda: rendered)


async def test_messages_end_a_poll_with_an_answer_and_a_lost_connection_without() -> (
    None
):
    held, poll, other = HeldPolls(280), a_poll("a"), a_poll("a")
    async with asyncio.TaskGroup() as group:
        answered = group.create_task(held.hold(poll, "one"))
        cut = group.create_task(held.hold(other, "two"))
        await asyncio.sleep(1)
        assert len(held) == 2
        poll.deliver(queued("a"), "a")
        poll.deliver(queued("a", 3), "a")
        held.drop("two")
        held.drop("two")
        held.drop("unknown")

    assert (answered.result(), cut.result()) == ("answer", "cut")
    assert len(held) == 0
    assert poll.on_end is None


async def test_a_poll_with_messages_is_not_held_at_all() -> None:
    held, poll = HeldPolls(280), a_poll("a")
    poll.deliver(queued("a"), "a")

    assert await held.hold(poll, "one") == "answer"


async def test_a_cancelled_hold_leaves_nothing() -> None:
    held, poll = HeldPolls(280), a_poll("a")
    task = asyncio.create_task(held.hold(poll, "one"))
    await asyncio.sleep(1)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert len(held) == 0
    assert poll.on_end is None
    await asyncio.sleep(300)


@pytest.mark.parametrize(
    ("channel", "names"),
    [
        ("a", ["a"]),
        ("a-pnpres", ["a-pnpres"]),
        ("a.b", ["a.b", "a.*"]),
        ("a.b-pnpres", ["a.b-pnpres", "a.*-pnpres"]),
        ("a.b.c", ["a.b.c", "a.*", "a.b.*"]),
        ("a.*-pnpres", ["a.*-pnpres", "a.*"]),
        ("a.b.*-pnpres", ["a.b.*-pnpres", "a.b.*", "a.*-pnpres"]),
        (".", [".", ".*"]),
    ],
)
def test_the_names_that_bring_a_channel(channel: str, names: list[str]) -> None:
    assert list(matching_names(channel)) == names


def test_only_polls_concerned_are_woken_and_closed_ones_are_gone() -> None:
    groups = ChannelGroups()
    groups.add("g", ["a"])
    polls = OpenPolls(groups)
    direct, wild = a_poll("a-pnpres"), a_poll("x.*-pnpres")
    group = a_poll(groups=("g-pnpres",))
    for poll in (direct, wild, group):
        polls.add(poll)

    polls.deliver(queued("a-pnpres"))
    polls.deliver(queued("x.y-pnpres"))
    polls.deliver(queued("other-pnpres"))

    assert [len(poll.pending) for poll in (direct, wild, group)] == [1, 1, 1]
    for poll in (direct, wild, group, group):
        polls.remove(poll)
    assert polls.all() == []
    polls.deliver(queued("a-pnpres"))
    assert len(direct.pending) == 1


def test_a_queue_keeps_a_hundred_and_quiet_channels_take_no_room() -> None:
    log = MessageLog()
    for position in range(1, 121):
        log.add(queued("a", position))
    assert [p.position for p in log.after("a", 0, now_s=0)] == list(range(21, 121))
    assert [p.position for p in log.after("a", 118, now_s=0)] == [119, 120]

    for number in range(100):
        log.add(queued(f"c{number}", 200 + number, at_s=number * 60.0))

    assert list(log.channels()) == [f"c{number}" for number in range(79, 100)]
    log.clear()
    assert log.after("c99", 0, now_s=0) == []
