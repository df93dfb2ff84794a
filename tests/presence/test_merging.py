"""What is wanted of a user, in as few heartbeats as possible."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from presence_async.presence.claims import Claim
from presence_async.presence.merging import Beat, merged, wanted
from presence_async.presence.names import names_of


def claim(*channels: str, groups: tuple[str, ...] = (), **wants: Any) -> Claim:
    version = wants.pop("version", 0)
    made = Claim(user_id="u", channels=channels, channel_groups=groups, **wants)
    made.state_version = version
    return made


def beats(*claims: Claim, refused: tuple[str, ...] = ()) -> list[Beat]:
    return merged("key", "u", wanted(claims, {}), refused)


def test_leases_that_agree_share_a_heartbeat() -> None:
    first, second = claim("a", "b"), claim("b", "c", groups=("g",))

    (beat,) = beats(first, second)

    assert beat.operation.channels == ("a", "b", "c")
    assert beat.operation.channel_groups == ("g",)
    assert beat.operation.presence_timeout_s == 300
    assert beat.operation.state is None
    assert beat.names == tuple(names_of(("a", "b", "c"), ("g",)))
    assert beat.claims == (first, second)
    assert beat.versions == (-1, -1, -1, -1)


def test_a_channel_and_a_group_of_one_name_are_two_names() -> None:
    (beat,) = beats(claim("g", groups=("g",)))

    assert (beat.operation.channels, beat.operation.channel_groups) == (("g",), ("g",))


@pytest.mark.parametrize("is_first_shorter", [True, False])
def test_the_shortest_timeout_counts_with_its_parameters(
    is_first_shorter: bool,
) -> None:
    short = claim("a", presence_timeout_s=20, params=(("p", "1"),))
    long = claim("a", "b", presence_timeout_s=60, params=(("p", "2"),))

    found = {
        beat.operation.channels: (beat.operation.presence_timeout_s, beat.params)
        for beat in beats(*((short, long) if is_first_shorter else (long, short)))
    }

    assert found == {("a",): (20, (("p", "1"),)), ("b",): (60, (("p", "2"),))}


def test_of_equal_timeouts_the_first_one_gives_the_parameters() -> None:
    first, second = claim("a", params=(("p", "1"),)), claim("a", params=(("p", "2"),))

    assert [beat.params for beat in beats(first, second)] == [(("p", "1"),)]


def test_the_state_set_last_counts() -> None:
    old = claim("a", "b", state={"n": 1}, version=1)
    new = claim("a", state={"n": 2}, version=2)
    silent = claim("a", "c")

    (beat,) = beats(new, old, silent)

    assert beat.operation.state == {"a": {"n": 2}, "b": {"n": 1}}
    assert dict(zip(beat.names, beat.versions, strict=True)) == {
        "a": 2,
        "b": 1,
        "c": -1,
    }


def test_an_empty_state_is_said_and_none_is_not() -> None:
    (beat,) = beats(claim("a", state={}, version=1), claim("b"))

    assert beat.operation.state == {"a": {}}


@pytest.mark.parametrize(("version", "state"), [(3, {"n": 9}), (1, {"n": 2})])
def test_a_state_set_for_a_name_counts_if_it_is_newer(
    version: int, state: dict[str, int]
) -> None:
    held = claim("a", state={"n": 2}, version=2)

    table = wanted([held], {"a": (version, {"n": 9}), "x": (9, {"n": 8})})

    assert table["a"].state == state
    assert list(table) == ["a"]


def test_channels_being_added_take_the_state_of_their_lease() -> None:
    lease = claim("a", state={"n": 1}, version=4)

    (beat,) = beats(claim("b", extends=lease))

    assert beat.operation.state == {"b": {"n": 1}}
    assert beat.versions == (4,)


def test_names_refused_before_travel_apart() -> None:
    found = beats(claim("a", "b", "c"), refused=("b",))

    assert [beat.operation.channels for beat in found] == [("a", "c"), ("b",)]


def test_a_heartbeat_stays_below_8_kib() -> None:
    channels = [f"{number:04}" + "ü" * 40 for number in range(200)]
    state = {"text": "ü" * 20}

    found = beats(claim(*channels, state=state, version=1))

    sizes = [len(beat.operation.to_request().target) for beat in found]
    assert max(sizes) <= 8 * 1024
    # As few as possible: no two of them would fit into one.
    assert min(a + b for a, b in itertools.pairwise(sizes[:-1])) > 8 * 1024
    assert [c for beat in found for c in beat.operation.channels] == channels


def test_a_single_name_is_never_split() -> None:
    state = {"text": "x" * 20_000}

    assert len(beats(claim("a", state=state, version=1))) == 1
