"""``doctor`` and ``verify-emulator``: what is printed, saved and returned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer.main

from presence_async.cli.app import app
from presence_async.cli.differences import flags, say_comparison
from presence_async.doctor.comparison import compared
from presence_async.doctor.finding import Report
from presence_async.emulator import EmulatorProfile

from .commands import ask, invoke


@pytest.fixture
def presence_emulator_options() -> dict[str, Any]:
    return {"global_here_now": False}


@pytest.mark.real_time
async def test_doctor_prints_a_line_each_and_saves_the_profile(
    service: dict[str, str], tmp_path: Path
) -> None:
    saved = tmp_path / "keyset.json"
    code, out, errors = await ask(
        *("doctor", "lobby", "--quick", "--save", str(saved)), **service
    )

    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert code == 0
    assert "✓ keys the subscribe key is known" in lines
    assert "✓ global here now off: a here now has to name its channels" in lines
    assert "✓ tracking every channel is tracked" in lines
    assert lines[-1].startswith("nothing keeps presence from working; ")
    assert EmulatorProfile.load(saved) == EmulatorProfile(global_here_now=False)
    assert f"wrote {saved}; not measured, so by default: implicit_heartbeats," in errors


@pytest.mark.real_time
async def test_doctor_ends_with_1_for_a_problem_in_any_locale_and_as_json(
    service: dict[str, str], tmp_path: Path
) -> None:
    saved = tmp_path / "keyset.json"
    closed = {**service, "PUBNUB_ORIGIN": "http://127.0.0.1:9"}
    shown = await ask("doctor", "--save", str(saved), charset="ascii", **closed)
    code, out, _ = await ask("doctor", "--json", **closed)

    assert shown[0] == code == 1
    *_, problem, not_tried, in_all = shown[1].splitlines()
    assert problem.startswith("NO connection")
    assert "http://127.0.0.1:9 refuses connections -> check the port" in problem
    assert not_tried.split(maxsplit=3)[:3] == ["?", "not", "tried"]
    assert in_all.startswith("1 problem to solve first, ")
    assert "nothing was measured" in shown[2]
    assert not saved.exists()
    found = {f["name"]: f["verdict"] for f in json.loads(out)["findings"]}
    assert (found["connection"], found["keys"]) == ("problem", "unknown")


def test_without_a_key_doctor_says_what_to_write() -> None:
    code, out, errors = invoke("doctor")

    assert (code, out) == (2, "")
    assert errors == (
        "presence-async: --subscribe-key or PUBNUB_SUBSCRIBE_KEY: is missing; write the"
        " key set's subscribe key, 'sub-c-…'\n"
    )


@pytest.mark.real_time
async def test_verify_emulator_shows_the_option_that_differs(
    service: dict[str, str], tmp_path: Path
) -> None:
    profile = tmp_path / "keyset.json"
    EmulatorProfile(global_here_now=False).save(profile)

    code, out, _ = await ask("verify-emulator", "--quick", **service)
    same = await ask("verify-emulator", "--quick", "--profile", str(profile), **service)

    assert code == 1
    assert "the emulator differs in 1 option" in out
    assert "│ global_here_now │ false  │ true     │ global_here_now=False │" in out
    assert out.splitlines()[-1] == "presence-async emulate --no-global-here-now"
    assert same[0] == 0
    assert "behaves as the keyset in all that was compared" in same[1]


def test_two_that_were_not_compared_are_not_called_alike(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say_comparison(compared(Report(()), Report(())))

    assert capsys.readouterr().out.startswith("nothing could be compared\n")


def test_every_option_has_a_flag_of_emulate() -> None:
    command = typer.main.get_command(app).commands["emulate"]  # type: ignore[attr-defined]
    known = {
        flag
        for parameter in command.params
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }
    values = {
        **EmulatorProfile().to_dict(),
        "tracked_channels": ["a b", "c.*"],
        "max_presence_timeout_s": 30,
    }

    for option, value in values.items():
        given = flags(option, value)
        assert {part for part in given if part.startswith("--")} <= known, option
        assert given
    assert flags("presence_deltas", value=True) == ["--presence-deltas"]
    assert flags("tracked_channels", ["a", "b"]) == [
        *("--tracked-channel", "a", "--tracked-channel", "b")
    ]
    assert flags("max_presence_timeout_s", None) == []
