"""Who hears what: pure, without a poll."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec

from presence_async import PresenceEvent, RequestError, StreamHealth, UserEvent
from presence_async.client.feed.listener import gap
from presence_async.client.feed.routing import RoutingTable
from presence_async.client.feed.subscription import Subscription
from presence_async.protocol.messages import Message, Published


class Hearer:
    """A listener that keeps what it hears."""

    def __init__(
        self, channels: Sequence[str] = (), groups: Sequence[str] = ()
    ) -> None:
        self.channels = tuple(channels)
        self.channel_groups = tuple(groups)
        self.heard: list[PresenceEvent] = []

    def deliver(self, events: Sequence[PresenceEvent]) -> None:
        self.heard += events

    def set_health(self, health: StreamHealth, error: RequestError | None) -> None:
        """Of no interest here."""

    @property
    def users(self) -> list[str]:
        return [x.user_id for x in self.heard if isinstance(x, UserEvent)]


def message(
    channel: str, user: str, tt: int, subscription: str | None = None
) -> Message:
    payload = {"action": "join", "uuid": user, "timestamp": 1, "occupancy": 1}
    return Message(
        channel=f"{channel}-pnpres",
        payload=msgspec.Raw(json.dumps(payload).encode()),
        published=Published(tt),
        subscription=subscription,
    )


def table(*hearers: Hearer, since: int = 0) -> RoutingTable:
    made = RoutingTable()
    for hearer in hearers:
        subscription = Subscription(hearer)
        for name in subscription.names:
            made.add(name, subscription, since)
    return made


def test_each_hears_of_its_own_names() -> None:
    lobby, group = Hearer(["lobby"]), Hearer(groups=["rooms"])
    wild, both = Hearer(["a.*"]), Hearer(["lobby"], ["rooms"])
    table(lobby, group, wild, both).deliver([
        message("lobby", "direct", 1, "lobby-pnpres"),
        message("lobby", "direct", 1, "rooms-pnpres"),
        message("hall", "group", 2, "rooms-pnpres"),
        message("a.b", "wild", 3, "a.*"),
        message("a.c", "wild too", 4, "a.*-pnpres"),
        message("elsewhere", "nobody", 5, "elsewhere-pnpres"),
    ])

    assert lobby.users == ["direct"]
    assert group.users == ["direct", "group"]
    assert wild.users == ["wild", "wild too"]
    assert both.users == ["direct", "group"]


def test_the_same_is_heard_once_and_another_at_the_same_time_too() -> None:
    hearer = Hearer(["lobby", "news"])
    made = table(hearer)
    for _ in range(3):
        made.deliver([message("lobby", "amy", 7), message("lobby", "bob", 7)])
        made.deliver([message("news", "amy", 7), message("lobby", "amy", 8)])

    assert hearer.users == ["amy", "bob", "amy", "amy"]


def test_the_last_four_thousand_are_remembered_and_no_endless_number() -> None:
    subscription = Subscription(Hearer(["lobby"]))
    for n in range(20_000):
        assert subscription.is_new(("lobby", n, 0))

    assert not any(
        subscription.is_new(("lobby", n, 0)) for n in range(20_000 - 4096, 20_000)
    )
    assert len(subscription._seen) + len(subscription._seen_before) <= 2 * 4096


def test_names_go_when_nobody_is_left_to_hear() -> None:
    one, two = Hearer(["lobby", "news"]), Hearer(["lobby"], ["rooms"])
    made = table(one, two)
    subscriptions = list(made.subscriptions)

    assert made.listed() == (("lobby-pnpres", "news-pnpres"), ("rooms-pnpres",))
    assert made.remove(subscriptions[0])
    assert made.listed() == (("lobby-pnpres",), ("rooms-pnpres",))
    assert not made.remove(subscriptions[0])
    assert made.remove(subscriptions[1])
    assert (len(made), made.size, made.subscriptions) == (0, 0, {})


def test_names_move_with_those_who_hear_them() -> None:
    one, two = Hearer(["lobby", "news"]), Hearer(["news"])
    source, target = table(one, two), RoutingTable()
    size = source.size
    source.move(source.find(["news"], []), target)
    source.deliver([message("news", "gone", 1), message("lobby", "amy", 2)])
    target.deliver([message("news", "bob", 3)])

    assert one.users == ["amy", "bob"]
    assert two.users == ["bob"]
    assert source.size + target.size == size
    assert [len(source.subscriptions), len(target.subscriptions)] == [1, 2]


def test_a_gap_in_the_past_is_told_to_those_who_were_there() -> None:
    early, late = Hearer(["lobby"]), Hearer(["lobby"])
    made = table(early, since=10)
    subscription = Subscription(late)
    made.add(subscription.names[0], subscription, 50)

    made.emit_gap(gap("service_queue", 5), before=40)
    assert [len(early.heard), len(late.heard)] == [1, 0]
    made.emit_gap(gap("reconnect", 5))
    assert [len(early.heard), len(late.heard)] == [2, 1]
    made.deliver([message("lobby", "amy", 45)])
    assert (early.users, late.users) == (["amy"], [])
    made.start_over()
    made.deliver([message("lobby", "bob", 3)])
    assert (early.users, late.users) == (["amy", "bob"], ["bob"])


def test_a_time_out_of_all_reason_can_still_be_told() -> None:
    assert gap("reconnect", 2**63 - 1).timestamp.year > 6000
