"""State belongs to the lease: promise 7."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from presence_async import InvalidArgumentError, PresenceClient, UnavailableError
from presence_async.emulator import Fault, PresenceEmulator


async def test_set_state_tells_observers_and_rides_on_every_heartbeat(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby", presence_timeout_s=20)

    await lease.set_state({"mood": "busy"})
    emulator.inject(Fault(operation="heartbeat", cut=True, for_s=30))
    await asyncio.sleep(60)

    assert lease.state == {"mood": "busy"}
    actions = [event.action for event in emulator.events("lobby")]
    assert actions == ["join", "state-change", "timeout", "join"]
    assert emulator.occupants("lobby") == {"bob": {"mood": "busy"}}


async def test_a_burst_of_patches_is_one_request(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby", state={"a": 0, "gone": 1})

    await asyncio.gather(
        *(lease.patch_state({"a": n}) for n in range(20)),
        lease.patch_state(remove="gone", b=True),
    )

    assert emulator.occupants("lobby") == {"bob": {"a": 19, "b": True}}
    assert len(emulator.requests.of("set state")) == 1


async def test_a_failed_set_state_raises_and_keeps_the_state(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby")
    emulator.inject(Fault(operation="set state", status=503))

    with pytest.raises(UnavailableError):
        await lease.set_state({"a": 1})
    with pytest.raises(UnavailableError):
        await lease.patch_state(b=2)

    assert lease.state == {"a": 1, "b": 2}


async def test_client_set_state_goes_through_the_lease(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby", state={"a": 1}, presence_timeout_s=20)
    both = await client.join(["lobby", "news"], presence_timeout_s=20)

    await client.set_state("lobby", state={"b": 2})
    await asyncio.sleep(60)

    assert lease.state == {"b": 2}
    assert both.state is None
    assert emulator.occupants("lobby") == {"bob": {"b": 2}}
    assert emulator.occupants("news") == {"bob": {}}


async def test_the_newest_of_the_rest_returns_when_a_lease_ends(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    await client.join("lobby", state={"device": "desk"})
    phone = await client.join("lobby", state={"device": "phone"})
    last_set = dict(emulator.occupants("lobby"))

    await phone.leave()
    await asyncio.sleep(1)

    assert last_set == {"bob": {"device": "phone"}}
    assert emulator.occupants("lobby") == {"bob": {"device": "desk"}}


async def test_the_shortest_timeout_of_a_users_leases_is_sent(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    await client.join("lobby", presence_timeout_s=20)
    long = await client.join(["lobby", "news"], presence_timeout_s=200)
    await asyncio.sleep(30)

    sent = {
        (entry.channels, entry.params["heartbeat"])
        for entry in emulator.requests.of("heartbeat")[2:]
    }
    assert sent == {(("lobby",), "20"), (("news",), "200")}
    assert long.remaining_s <= 20


async def test_leases_with_one_timeout_share_a_request(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    await client.join("lobby", state={"a": 1})
    await client.join("news")
    await asyncio.sleep(200)

    merged = emulator.requests[-1]
    assert merged.channels == ("lobby", "news")
    assert merged.params["state"] == '{"lobby":{"a":1}}'


async def test_a_refused_name_does_not_take_another_lease_down(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    secret = await client.join("secret", presence_timeout_s=20)
    lobby = await client.join("lobby", presence_timeout_s=20)
    body = (
        b'{"message":"Forbidden","payload":{"channels":["secret"]},"error":true,'
        b'"service":"Access Manager","status":403}\n'
    )
    emulator.inject(Fault(operation="heartbeat", status=403, body=body, times=1))

    await asyncio.sleep(10)

    assert (lobby.health, secret.health) == ("fresh", "refused")
    assert emulator.requests[-1].channels == ("lobby",)


async def test_a_refusal_that_names_nothing_is_tried_lease_by_lease(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    await client.join("secret", presence_timeout_s=20)
    await client.join("lobby", presence_timeout_s=20)
    before = len(emulator.requests)
    emulator.inject(Fault(operation="heartbeat", status=403, times=1))

    await asyncio.sleep(10)

    alone = [entry.channels for entry in emulator.requests[before:]]
    assert alone[:3] == [("secret", "lobby"), ("lobby",), ("secret",)]
    assert {lease.health for lease in client.heartbeats.leases} == {"fresh"}


async def test_many_channels_are_split_over_several_heartbeats(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    names = [f"channel-{n:04}-{'x' * 40}" for n in range(500)]
    lease = await client.join(names)

    beats = emulator.requests.of("heartbeat")
    assert sum(len(entry.channels) for entry in beats) == 500
    assert all(len(entry.path) < 8 * 1024 for entry in beats)
    await lease.leave()
    assert not emulator.occupants(names[-1])


async def test_state_given_to_join_is_a_snapshot(client: PresenceClient) -> None:
    state = {"tags": ["a"]}
    lease = await client.join("lobby", state=state)

    state["tags"].append("b")

    assert lease.state == {"tags": ["a"]}


@pytest.mark.parametrize("changes", [[], "ab", 7, {"a": float("nan")}, {1: 2}])
async def test_a_patch_that_is_no_json_object_is_refused_by_name(
    client: PresenceClient, changes: Any
) -> None:
    lease = await client.join("lobby", state={"a": 1})

    with pytest.raises(InvalidArgumentError, match=r"^changes: "):
        await lease.patch_state(changes)

    assert lease.state == {"a": 1}


async def test_a_state_no_request_could_carry_is_not_kept(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby", state={"a": 1})
    large = {"text": "x" * 40_000}

    with pytest.raises(InvalidArgumentError, match="state: heartbeat would take"):
        await lease.set_state(large)
    with pytest.raises(InvalidArgumentError, match="state: heartbeat would take"):
        await lease.patch_state(large)
    with pytest.raises(InvalidArgumentError, match="state: heartbeat would take"):
        await client.set_state("lobby", state=large)
    await asyncio.sleep(600)

    assert emulator.occupants("lobby") == {"bob": {"a": 1}}


async def test_the_largest_state_taken_is_one_that_heartbeats_can_carry(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby")

    for length in range(31_900, 32_200, 4):
        try:
            await lease.set_state({"text": "x" * length})
        except InvalidArgumentError:
            break
    await asyncio.sleep(600)

    assert 31_900 < length < 32_200
    assert lease.state == {"text": "x" * (length - 4)}
    assert lease.health == "fresh"
    assert emulator.occupants("lobby") == {"bob": lease.state}


async def test_set_state_refuses_what_is_not_json(client: PresenceClient) -> None:
    lease = await client.join("lobby")

    with pytest.raises(InvalidArgumentError, match="state"):
        await lease.set_state({"a": {1, 2}})  # type: ignore[dict-item]


async def test_a_shorter_lease_shortens_what_the_others_on_its_channel_tell(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    long = await client.join(["lobby", "news"], presence_timeout_s=300)
    other = await client.join("news", presence_timeout_s=300)

    await client.join("lobby", presence_timeout_s=20)

    assert long.remaining_s <= 20
    assert other.remaining_s == 300


async def test_a_single_heartbeat_with_a_short_timeout_ends_no_lease(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby")

    await client.heartbeat("lobby", presence_timeout_s=3)
    at_once_s = lease.remaining_s
    await asyncio.sleep(60)

    assert at_once_s <= 3
    assert [event.action for event in emulator.events("lobby")] == ["join"]
    assert lease.health == "fresh"


async def test_a_heartbeat_grown_too_long_is_one_leases_refusal(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    other = await client.join("news", presence_timeout_s=20)
    lease = await client.join("lobby", presence_timeout_s=20)
    state = {"text": "x" * 20_000}

    await lease.set_state(state)
    client.set_auth("t" * 15_000)
    await asyncio.sleep(60)

    assert lease.health == "refused"
    assert other.health == "fresh"
    client.set_auth("t")
    await asyncio.sleep(20)
    assert lease.health == "fresh"
    assert emulator.occupants("lobby") == {"bob": state}


async def test_a_part_that_fails_is_not_hidden_by_one_that_succeeds(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    wide = await client.join(["lobby", "news"], presence_timeout_s=60)
    await client.join("lobby", presence_timeout_s=40)
    emulator.inject(Fault(operation="heartbeat", status=500, times=1))
    changes = wide.changes()
    await anext(changes)

    change = await anext(changes)

    assert change.health == "at_risk"
    assert change.remaining_s < 40


async def test_a_patch_of_a_lease_that_ends_meanwhile_is_not_sent(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby")
    patching = asyncio.ensure_future(lease.patch_state(a=1))
    await asyncio.sleep(0.01)

    await lease.leave()

    with pytest.raises(InvalidArgumentError, match="released"):
        await patching
    assert emulator.requests.of("set state") == []


async def test_a_state_behind_a_slow_request_is_the_latest_when_its_turn_comes(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join(["lobby", "news"])
    emulator.inject(Fault(operation="leave", delay_s=2, times=1))
    removing = asyncio.ensure_future(lease.remove("news"))
    await asyncio.sleep(1)

    await asyncio.gather(lease.set_state({"n": 1}), lease.set_state({"n": 2}))
    await removing

    said = [e.channels for e in emulator.requests.of("set state")]
    assert said == [("lobby",), ("lobby",)]
    assert emulator.occupants("lobby") == {"bob": {"n": 2}}
