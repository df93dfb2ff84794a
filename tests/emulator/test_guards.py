"""Requests refused for their signature, token, key or rate."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest

from presence_async import AccessDeniedError, InvalidArgumentError, PresenceClient
from presence_async.emulator import Fault, Grant, PresenceEmulator
from presence_async.emulator.rate_limit import RateLimit
from presence_async.emulator.signatures import signature_refusal
from presence_async.protocol.exchange import HttpRequest
from presence_async.protocol.identity import Identity
from presence_async.protocol.signature import signature_v2

KEY = "/v2/presence/sub-key/demo"
SUBSCRIBE = "/v2/subscribe/demo"
REGISTRY = "/v1/channel-registration/sub-key/demo/channel-group"
PATH = "/v2/presence/sub-key/demo-sub"
COMMON = "pnsdk=PubNub-Demo%2F1.0.0&timestamp=1700000000&uuid=user%201"
SIGNED = {
    "here now": (
        f"{PATH}/channel/lobby,caf%C3%A9",
        f"channel-group=g1%2Cg2&limit=1000&state=1&{COMMON}",
        "v2.5nt9pfTkFt9QXLnXOfTsrPN1MPfOMA8cbXiBgL9cQyk",
    ),
    "set state": (
        f"{PATH}/channel/lobby/uuid/user%201/data",
        f"state=%7B%22mood%22%3A%22ok~%21%22%2C%22n%22%3A1%7D&{COMMON}",
        "v2.5PmjCVoxXpTKoU0Vda9axVWL9k8Cjpo5mly3YfxO7sM",
    ),
    "leave": (
        f"{PATH}/channel/lobby/leave",
        COMMON,
        "v2.yhLhXMXE1u8Ty6QbdUosBdIUZ318h6he-oxAldRtpyg",
    ),
}


def refusal(path: str, query: str, *, at_s: float = 1_700_000_000) -> Any:
    reply = signature_refusal(
        HttpRequest(path=path, query=query),
        publish_key="demo-pub",
        secret_key="demo-secret",
        unix_s=at_s,
    )
    return None if reply is None else (reply.status, json.loads(reply.body)["message"])


@pytest.mark.parametrize("name", SIGNED)
def test_the_worked_examples_are_signed(name: str) -> None:
    path, query, signature = SIGNED[name]

    assert refusal(path, f"{query}&signature={signature}") is None
    assert refusal(path, f"signature={signature}&{query}") is None
    assert refusal(path + "x", f"{query}&signature={signature}") == (
        403,
        "Signature Does Not Match",
    )
    assert refusal(path, f"{query}&x=1&signature={signature}") is not None
    assert refusal(path, query) == (403, "Signature Does Not Match")


@pytest.mark.parametrize(
    ("off_s", "expected"),
    [
        (0, None),
        (60, None),
        (-60, None),
        (61, (400, "Invalid Timestamp")),
        (-61, (400, "Invalid Timestamp")),
    ],
)
def test_a_timestamp_may_be_a_minute_off(off_s: float, expected: Any) -> None:
    path, query, signature = SIGNED["leave"]

    found = refusal(path, f"{query}&signature={signature}", at_s=1_700_000_000 + off_s)

    assert found == expected


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "1e9", "1" * 5_000, "\u0661", "1700000000.5"]
)
def test_an_invalid_timestamp_is_refused(text: str) -> None:
    assert refusal(PATH, f"timestamp={text}") == (400, "Invalid Timestamp")


@pytest.mark.parametrize(
    ("name", "value", "signed_as"),
    [
        ("state", '{"a":1}', "%7B%22a%22%3A1%7D"),
        ("channel-group", "g 1,g2", "g%201,g2"),
        ("filter-expr", "a == 1", "a%20%3D%3D%201"),
    ],
)
def test_values_that_sdks_sign_escaped_are_taken(
    name: str, value: str, signed_as: str
) -> None:
    common = [("timestamp", "1700000000"), ("uuid", "bob")]
    keys: Any = {"publish_key": "demo-pub", "secret_key": "demo-secret"}
    signature = signature_v2(path=PATH, params=[(name, signed_as), *common], **keys)
    query = "&".join(f"{n}={v}" for n, v in [(name, value), *common])

    assert refusal(PATH, f"{query}&signature={signature}") is None


async def test_signatures_follow_the_loops_wall_clock() -> None:
    async with PresenceEmulator(secret_key="sec") as emulator:
        await asyncio.sleep(30 * 24 * 3600)
        async with PresenceClient(emulator.config()) as client:
            assert (await client.where_now()).channels == ()


@pytest.mark.parametrize(
    ("token", "target", "refused"),
    [
        ("t", f"{KEY}/channel/lobby,a.b", None),
        ("t", f"{KEY}/channel/lobby,x", {"channels": ["x"]}),
        (
            "t",
            f"{KEY}/channel/x?channel-group=g,h",
            {"channels": ["x"], "channel-groups": [":h"]},
        ),
        (None, f"{KEY}/channel/lobby", {"channels": ["lobby"]}),
        ("t", f"{KEY}/channel/x/leave?uuid=bob", {"channels": ["x"]}),
        ("t", f"{KEY}/channel/x/heartbeat?uuid=bob", {"channels": ["x"]}),
        ("t", f"{KEY}/channel/x-pnpres/heartbeat?uuid=bob", None),
        ("t", f"{KEY}/channel/x/uuid/bob", {"channels": ["x"]}),
        ("t", f"{KEY}/channel/x/uuid/bob/data?state=%7B%7D", {"channels": ["x"]}),
        (None, f"{KEY}/uuid/bob", None),
        (
            "t",
            f"{SUBSCRIBE}/lobby,lobby-pnpres/0?uuid=bob",
            {"channels": ["lobby-pnpres"]},
        ),
        ("t", f"{SUBSCRIBE}/a.*/0?uuid=bob", None),
        (
            "t",
            f"{SUBSCRIBE}/,/0?channel-group=g,g-pnpres&uuid=bob",
            {"channel-groups": [":g-pnpres"]},
        ),
        ("t", f"{REGISTRY}/g?add=lobby", {"channel-groups": [":g"]}),
        ("t", f"{REGISTRY}/own?add=any", None),
        ("t", f"{REGISTRY}/own", None),
        ("t", f"{REGISTRY}/own/remove", None),
    ],
)
async def test_a_token_opens_what_it_was_granted(
    wire: Any, token: str | None, target: str, refused: Any
) -> None:
    access = {
        "t": [
            Grant(channels=["lobby", "a.*"], channel_groups="g"),
            Grant(channel_groups="own", manage=True),
        ]
    }
    async with PresenceEmulator(access=access) as emulator:
        mark = "&" if "?" in target else "?"
        auth = "" if token is None else f"{mark}auth={token}"
        status, body = await wire.to(emulator).get(target + auth)

    assert body.get("payload") == refused if refused else status == 200
    assert status == (403 if refused else 200)


async def test_a_refused_request_has_no_effect(wire: Any) -> None:
    async with PresenceEmulator(access={}) as emulator:
        for path in (f"{KEY}/channel/a/heartbeat", f"{SUBSCRIBE}/a/0"):
            status, _ = await wire.to(emulator).get(f"{path}?uuid=bob")
            assert status == 403

        assert not emulator.occupants("a")
        assert emulator.events("a") == ()


async def test_a_token_runs_out_in_virtual_time(emulator: PresenceEmulator) -> None:
    emulator.grant("t", Grant(channels="a", user_id="bob", for_s=3600))

    async with PresenceClient(emulator.config(user_id="bob", auth="t")) as client:
        await client.here_now("a")
        await asyncio.sleep(3600)
        with pytest.raises(AccessDeniedError, match="Token is expired"):
            await client.here_now("a")


async def test_a_reset_brings_the_first_tokens_back(wire: Any) -> None:
    async with PresenceEmulator(access={"t": Grant(channels="a")}) as emulator:
        emulator.revoke("t")
        emulator.grant("u", Grant(channels="a"))
        emulator.reset()

        t, u = [
            (await wire.to(emulator).get(f"{KEY}/channel/a?auth={token}"))[0]
            for token in "tu"
        ]

    assert (t, u) == (200, 403)


async def test_other_keys_are_invalid_if_some_are_named(wire: Any) -> None:
    async with PresenceEmulator(subscribe_keys=["mine", "too"]) as emulator:
        assert emulator.config().subscribe_key == "mine"
        own, _ = await wire.to(emulator).get(KEY.replace("demo", "mine"))
        status, body = await wire.to(emulator).get(KEY)

    assert own == 200
    assert (status, body["message"]) == (400, "Invalid Subscribe Key")


async def test_requests_over_the_rate_are_told_to_wait(wire: Any) -> None:
    async with PresenceEmulator(max_requests_per_s=2) as emulator:
        here = wire.to(emulator)
        answers = [await here.ask(f"{KEY}/channel/a") for _ in range(3)]
        await asyncio.sleep(float(answers[-1][1]["retry-after"]))
        later, _, _ = await here.ask(f"{KEY}/channel/a")

    assert [status for status, _, _ in answers] == [200, 200, 429]
    assert answers[-1][1]["retry-after"] == "1"
    assert later == 200


@pytest.mark.parametrize(
    ("per_s", "at", "expected"),
    [
        (None, [0, 0, 0], [0, 0, 0]),
        (1, [0, 0, 0.5, 1, 1.5], [0, 1, 1, 0, 1]),
        (2, [0, 0, 0, 0.5, 0.5], [0, 0, 1, 0, 1]),
        (0.1, [0, 0, 9, 10], [0, 10, 1, 0]),
    ],
)
def test_the_bucket_fills_evenly(
    per_s: float | None, at: list[float], expected: list[int]
) -> None:
    limit = RateLimit(per_s)

    assert [limit.wait_s(now_s) for now_s in at] == expected


async def test_a_fault_hits_the_emulators_own_key_or_every(wire: Any) -> None:
    other = KEY.replace("demo", "other")

    async def asked(emulator: PresenceEmulator) -> list[int]:
        return [(await wire.to(emulator).ask(t))[0] for t in (KEY, other, "/time/0")]

    async with PresenceEmulator() as emulator:
        emulator.inject(Fault(status=500))
        own = await asked(emulator)
        emulator.reset()
        emulator.inject(Fault(status=500), subscribe_key="other")
        named = await asked(emulator)
        emulator.reset()
        emulator.inject(Fault(status=500), subscribe_key="*")
        every = await asked(emulator)

    assert own == [500, 200, 500]
    assert named == [200, 500, 500]
    assert every == [500, 500, 500]


async def test_a_reset_forgets_one_key_or_every(
    wire: Any, emulator: PresenceEmulator
) -> None:
    for key in ("demo", "other"):
        beat = f"/v2/presence/sub-key/{key}/channel/a/heartbeat?uuid=bob"
        await wire.get(beat)

    emulator.reset()
    kept = dict(emulator.occupants("a", "other"))
    emulator.reset("*")

    assert (kept, dict(emulator.occupants("a"))) == ({"bob": {}}, {})
    assert dict(emulator.occupants("a", "other")) == {}
    assert emulator.events("a") == emulator.events("a", "other") == ()
    assert emulator.requests.total == 0


async def test_a_reset_forgets_cached_replies(wire: Any) -> None:
    async with PresenceEmulator(here_now_cache_s=60) as emulator:
        here = wire.to(emulator)
        await here.get(f"{KEY}/channel/a")
        emulator.reset()
        await here.get(f"{KEY}/channel/a/heartbeat?uuid=bob")

        assert (await here.get(f"{KEY}/channel/a"))[1]["occupancy"] == 1


async def test_time_is_an_operation_that_faults_can_hit(
    wire: Any, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(operation="time", status=503, times=1))

    statuses = [(await wire.ask("/time/0"))[0] for _ in range(2)]

    assert statuses == [503, 200]
    assert len(emulator.requests.of("time")) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"secret_key": ""},
        {"min_presence_timeout_s": -1},
        {"here_now_cache_s": math.nan},
        {"heartbeat_cache_s": math.inf},
        {"max_requests_per_s": 0},
        {"journal_size": -1},
        {"journal_size": 1.5},
        {"leave_needs_read": 1},
        {"access": "token"},
        {"subscribe_keys": 5},
        {"subscribe_keys": ["mine", 5]},
        {"port": 70_000},
        {"port": -1},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        PresenceEmulator(**options)

    assert caught.value.argument in options


async def test_options_and_grants_show_no_secret() -> None:
    emulator = PresenceEmulator(secret_key="sec-hidden", access={"tok-hidden": Grant()})

    assert "hidden" not in repr(emulator._options)


def test_an_identity_signs_what_the_emulator_verifies() -> None:
    identity = Identity(
        subscribe_key="demo-sub",
        user_id="user ~1",
        publish_key="demo-pub",
        secret_key="demo-secret",
    )
    stamped = identity.stamp(HttpRequest(path=PATH), timestamp_s=1_700_000_000)

    assert refusal(stamped.path, stamped.query) is None


async def test_faults_strike_subscribe_before_or_after_its_effect(
    wire: Any, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(operation="subscribe", status=503, times=1))
    before, _, _ = await wire.ask(f"{SUBSCRIBE}/a/0?uuid=bob")
    nobody = dict(emulator.occupants("a"))
    after_effect = Fault(operation="subscribe", cut=True, at="after_effect", times=1)
    emulator.inject(after_effect)
    cut = await wire.exchange(
        f"GET {SUBSCRIBE}/a/0?uuid=bob HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    )
    body = b'{"t":{"t":"1","r":1},"m":[]}'
    emulator.inject(Fault(operation="subscribe", body=body, at="after_effect", times=1))
    poll = await wire.ask(f"{SUBSCRIBE}/a/0?tt=99999999999999999&uuid=bob")

    assert (before, nobody) == (503, {})
    assert (cut, set(emulator.occupants("a"))) == (b"", {"bob"})
    assert (poll[0], poll[2]) == (200, body)


async def test_a_revoked_token_gets_no_further_poll(
    wire: Any, emulator: PresenceEmulator
) -> None:
    emulator.grant("t", Grant(channels="a-pnpres"))
    target = f"{SUBSCRIBE}/a-pnpres/0?uuid=bob&auth=t"
    handshake, _ = await wire.get(f"{target}&tt=0")

    emulator.revoke("t")
    status, body = await wire.get(f"{target}&tt=17579696193377821")

    assert handshake == 200
    assert (status, body["message"]) == (403, "Token is revoked")
