"""EmulatorProfile: as keyword arguments, as JSON, as a file."""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any

import attrs
import pytest

from presence_async import InvalidArgumentError
from presence_async.emulator import EmulatorProfile, Grant, PresenceEmulator
from presence_async.emulator.profile import ProfileOptions

OTHER = EmulatorProfile(
    presence=False,
    tracked_channels=["lobby", "a.*"],
    implicit_heartbeats=True,
    announce_max=0,
    interval_s=30,
    presence_deltas=True,
    leave_on_disconnect=True,
    debounce_s=2,
    min_presence_timeout_s=20,
    max_presence_timeout_s=320.5,
    global_here_now=False,
    stream_filtering=False,
    access_manager=True,
    leave_needs_read=False,
    here_now_cache_s=3,
    heartbeat_cache_s=3,
)


def test_every_field_is_a_typed_keyword_argument_with_the_same_name() -> None:
    fields = {field.name for field in attrs.fields(EmulatorProfile)}

    assert set(typing.get_type_hints(ProfileOptions)) == fields


def test_a_profile_survives_json_and_a_file(tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    defaults = EmulatorProfile().to_dict()

    OTHER.save(file)

    assert EmulatorProfile.load(file) == OTHER
    assert EmulatorProfile.from_dict(json.loads(json.dumps(defaults))).to_dict() == (
        defaults
    )
    # ``OTHER`` differs in every field, so none of them is forgotten.
    assert [n for n, v in OTHER.to_dict().items() if v == defaults[n]] == []
    assert file.read_text().startswith('{\n  "presence": false,\n')


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"announce_maximum": 5}, "knows no field 'announce_maximum'"),
        ({"announce_max": -1}, "announce_max: must be a whole number"),
        ({"debounce_s": "2"}, "debounce_s: must be a number"),
        ({"interval_s": 1e-14}, "interval_s: must be a number from 0.1 on"),
        ({"presence": 1}, "presence: must be True or False"),
        ({"tracked_channels": [1]}, "tracked_channels: must be"),
        ({"max_presence_timeout_s": 0}, "max_presence_timeout_s: must be a number"),
        (
            {"min_presence_timeout_s": 20, "max_presence_timeout_s": 10},
            "must not be below min_presence_timeout_s",
        ),
        ([], "must be a JSON object"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_fields_are_named(fields: Any, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        EmulatorProfile.from_dict(fields)


@pytest.mark.parametrize("text", [b"\xff", b"[" * 100_000], ids=["bytes", "deep"])
def test_a_file_that_is_not_json_is_named(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "profile.json"
    file.write_bytes(text)

    with pytest.raises(InvalidArgumentError, match=r"profile\.json is not JSON"):
        EmulatorProfile.load(file)


async def test_arguments_win_over_the_profile() -> None:
    emulator = PresenceEmulator(profile=OTHER, announce_max=7, presence=True)

    assert emulator.profile == attrs.evolve(OTHER, announce_max=7, presence=True)


async def test_the_profile_says_whether_requests_need_a_token() -> None:
    emulator = PresenceEmulator()
    before = emulator.profile
    emulator.grant("t", Grant(channels="lobby"))

    assert before == EmulatorProfile()
    assert emulator.profile == EmulatorProfile(access_manager=True)
    assert PresenceEmulator(access={}).profile.access_manager
