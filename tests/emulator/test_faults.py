"""Faults as data: the requests they hit, their ranges, their forms as text."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presence_async import InvalidArgumentError
from presence_async.emulator.faults import Fault, Faults
from presence_async.emulator.router import OPERATION_NAMES


def goes_wrong(fields: dict[str, Any]) -> bool:
    how = ("status", "body", "delay_s", "cut")
    return any(fields[name] not in {None, 0} for name in how)


fields_of_any_kind: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    operation=st.none() | st.sampled_from(sorted(OPERATION_NAMES)),
    status=st.none() | st.integers(200, 599),
    retry_after_s=st.none() | st.integers(0, 999),
    body=st.none() | st.text().map(str.encode),
    age_s=st.none() | st.integers(0, 9),
    delay_s=st.floats(min_value=0, allow_nan=False),
    cut=st.booleans(),
    at=st.sampled_from(["before_effect", "after_effect"]),
    times=st.none() | st.integers(1, 99),
    for_s=st.none() | st.floats(0.5, 1e6),
    probability=st.floats(0, 1),
    seed=st.integers(-9, 2**40),
)
faults_of_any_kind = fields_of_any_kind.filter(goes_wrong).map(lambda f: Fault(**f))


@given(faults_of_any_kind)
def test_a_fault_survives_json(fault: Fault) -> None:
    text = json.dumps(fault.to_dict(), allow_nan=False)

    assert Fault.from_dict(json.loads(text)) == fault
    assert Fault.from_text(text) == fault


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "heartbeat:503:for_s=10",
            Fault(operation="heartbeat", status=503, for_s=10),
        ),
        ("*:429:retry_after_s=7:times=2", Fault(status=429, retry_after_s=7, times=2)),
        ("here-now:delay_s=inf", Fault(operation="here now", delay_s=math.inf)),
        (
            "leave:cut=true:at=after_effect",
            Fault(operation="leave", cut=True, at="after_effect"),
        ),
        ('{"delay_s": null}', Fault(delay_s=math.inf)),
        (
            '{"operation": "set_state", "body": "no"}',
            Fault(operation="set state", body=b"no"),
        ),
    ],
    ids=["status", "every", "never", "cut", "null", "json"],
)
def test_faults_are_read_from_text(text: str, expected: Fault) -> None:
    assert Fault.from_text(text) == expected


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"operation": "beat"},
            "use None or one of: add channels, delete group, get",
        ),
        ({"operation": 3}, "operation"),
        ({"status": 199}, "from 200 to 599"),
        ({"status": 600}, "from 200 to 599"),
        ({"status": "503"}, "status"),
        ({"status": True}, "status"),
        ({"retry_after_s": -1}, "from 0 on"),
        ({"retry_after_s": 1.5}, "whole number"),
        ({"age_s": -1}, "age_s"),
        ({"delay_s": -1}, "a number from 0 on"),
        ({"delay_s": math.nan}, "a number from 0 on"),
        ({"delay_s": "long"}, "delay_s"),
        ({"cut": 1}, "True or False"),
        ({"at": "never"}, "'before_effect' or 'after_effect'"),
        ({"body": "text"}, "bytes"),
        ({"times": 0}, "from 1 on"),
        ({"for_s": 0}, "above 0"),
        ({"for_s": -1}, "above 0"),
        ({"for_s": math.inf}, "must be finite"),
        ({"for_s": math.nan}, "above 0"),
        ({"probability": 2}, "0 to 1"),
        ({"probability": math.nan}, "0 to 1"),
        ({"seed": "x"}, "whole number"),
    ],
    ids=str,
)
def test_a_fault_out_of_range_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words) as caught:
        Fault(**{"status": 500, **settings})

    assert caught.value.argument in settings


@pytest.mark.parametrize(
    "settings",
    [{}, {"operation": "heartbeat", "times": 2}, {"retry_after_s": 3}, {"age_s": 3}],
    ids=str,
)
def test_a_fault_that_changes_nothing_is_refused(
    settings: dict[str, Any],
) -> None:
    with pytest.raises(InvalidArgumentError, match="changes nothing; give it a status"):
        Fault(**settings)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not a JSON object"),
        ("[]", "use None or one of"),
        ("beat:503", "unknown operation 'beat'"),
        ("heartbeat:503:forever=1", "knows no field 'forever'"),
        ("heartbeat:many", "status"),
        ('{"delay_s": []}', "delay_s"),
        ('{"body": 1}', "body"),
        ("heartbeat", "changes nothing"),
        ("", "operation"),
        ("\ud800", "operation"),
    ],
    ids=ascii,
)
def test_invalid_text_of_a_fault_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        Fault.from_text(text)


def test_the_latest_fault_that_matches_strikes_as_often_as_it_may() -> None:
    faults = Faults()
    always = Fault(status=500, for_s=10)
    twice = Fault(operation="leave", status=503, times=2)
    faults.inject(always, now_s=0)
    faults.inject(twice, now_s=0)

    struck = [faults.strike("leave", now_s=1) for _ in range(3)]

    assert struck == [twice, twice, always]
    assert faults.strike("heartbeat", now_s=9.9) is always
    assert faults.strike("heartbeat", now_s=10) is None


def test_a_share_of_requests_is_hit_the_same_in_each_run() -> None:
    runs = []
    for _ in range(2):
        faults = Faults()
        faults.inject(Fault(status=500, probability=0.2, seed=3), now_s=0)
        runs.append([faults.strike("x", now_s=0) is not None for _ in range(1000)])

    assert runs[0] == runs[1]
    assert 150 < sum(runs[0]) < 250


def test_a_fault_of_one_key_spares_the_others_but_hits_what_has_none() -> None:
    faults = Faults()
    faults.inject(Fault(status=500), now_s=0, subscribe_key="mine")

    struck = [
        faults.strike("heartbeat", key, now_s=0) is not None
        for key in ("mine", "other", "")
    ]

    assert struck == [True, False, True]
