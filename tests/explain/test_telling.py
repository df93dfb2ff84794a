"""Pure: how single facts, failures, times and names are told."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from presence_async import (
    AccessDeniedError,
    ConnectError,
    DeadlineError,
    RegisterError,
    UnavailableError,
)
from presence_async.explain import causes, words
from presence_async.explain.circumstances import (
    Alive,
    Blocked,
    OutageBegan,
    OutageEnded,
    RegisterBack,
    RegisterLost,
    Started,
)
from presence_async.explain.facts import (
    Asked,
    Back,
    Fact,
    Failed,
    GaveUp,
    Joined,
    Left,
    Lost,
    NewToken,
    Released,
    Seen,
    Turn,
)
from presence_async.explain.story import Explanation, explained

from .stories import NOON

JOINED = Joined(at=NOON, user="alice", names=("lobby",), timeout_s=60)
LOST = Lost(at=NOON + 60, user="alice", names=("lobby",), until=NOON + 60)
DAY_S = 86_400


def told(*facts: Fact, now: float = NOON + 600) -> Explanation:
    return explained("alice", [JOINED, *facts], at=None, now=now)


def failed(at: float, **of: object) -> Failed:
    facts = {"what": "heartbeat", "names": ("lobby",), "why": "503 Odd", "status": 503}
    return Failed(at=NOON + at, user="alice", **{**facts, **of})  # type: ignore[arg-type]  # as they are


@pytest.mark.parametrize(
    ("error", "expected", "status"),
    [
        (UnavailableError("x", status=503), "503 Service Unavailable", 503),
        (UnavailableError("x", status=599), "599", 599),
        (UnavailableError("x", status=500, message="no " * 99), None, 500),
        (DeadlineError("x"), "no answer came in time", 0),
        (
            DeadlineError("x", last_failure=UnavailableError("y", status=500)),
            "500 Internal Server Error",
            0,
        ),
        (
            ConnectError("no connection", cause="OSError: Connection refused"),
            "no connection (Connection refused)",
            0,
        ),
        (ConnectError("no connection", cause="OSError"), "no connection", 0),
        (RegisterError("it is away"), "it is away", 0),
        (KeyError(), "KeyError", 0),
    ],
)
def test_a_failure_is_told_in_a_few_words(
    error: Exception, expected: str | None, status: int
) -> None:
    assert causes.status_of(error) == status
    if expected is None:
        assert len(causes.why(error)) <= 201
    else:
        assert causes.why(error) == expected


def test_of_a_token_function_only_the_kind_of_failure_is_told() -> None:
    error = AccessDeniedError(
        "the token provider failed", status=401, cause="ValueError: t0ken"
    )
    error.is_about_service = False

    assert causes.why(error) == "the token provider failed (ValueError)"
    assert causes.status_of(error) == 0


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.4, "0 s"),
        (151, "151 s"),
        (600, "10 min"),
        (7200, "2 h"),
        (7260, "2 h 1 min"),
        (2 * DAY_S, "2 days"),
    ],
)
def test_durations_are_short(seconds: float, expected: str) -> None:
    assert words.lasting(seconds) == expected


def test_names_are_a_row_and_many_are_counted() -> None:
    assert words.names([]) == "every channel"
    assert words.names(["a", ",b"]) == "a and the group b"
    assert words.names("abcdefgh") == "a, b, c and 5 more"


SENTENCES: Sequence[tuple[Fact, str]] = [
    (NewToken(at=NOON, user="alice", is_refresh=True), "The token was dropped;"),
    (Turn(at=NOON, user="alice", is_ours=True), "This process sent the heartbeats"),
    (RegisterLost(at=NOON, why="x\x1b"), r"leaves waited: x\x1b."),
    (RegisterBack(at=NOON, away_s=90), "The register was back after 90 s."),
    (failed(0, what="leave"), "An attempt to leave lobby failed: the service"),
    (failed(0, what="last heartbeat"), "The last heartbeat failed: the service"),
    (failed(0, what="last heartbeat", times=2, last=NOON), "2 last heartbeats failed"),
    (failed(0, status=0, why="no answer"), "A heartbeat failed: no answer."),
    (Back(at=NOON, user="alice", names=("lobby",), was="at_risk"), "before the"),
    (
        Asked(at=NOON, user="alice", what="heartbeat", names=("a",), status=0),
        "A heartbeat for a arrived and was cut off without an answer.",
    ),
]


@pytest.mark.parametrize(("fact", "part"), SENTENCES)
def test_a_fact_is_told_in_a_sentence(fact: Fact, part: str) -> None:
    assert part in told(fact).decisions[-1].text


VERDICTS: Sequence[tuple[Sequence[Fact], str]] = [
    ([LOST], "no heartbeat was acknowledged in time."),
    ([Blocked(at=NOON + 90, for_s=80), LOST], "the event loop was blocked for 80 s"),
    (
        [
            failed(50, until=LOST.until),
            failed(55, until=LOST.until, status=0, why="lost"),
            LOST,
        ],
        "2 attempts failed from 12:00:50 to 12:00:55, most of them so: the service",
    ),
    (
        [failed(50, until=LOST.until, status=0, why="no answer"), LOST],
        "1 attempt failed at 12:00:50: no answer.",
    ),
    (
        [OutageBegan(at=NOON + 50, users=3, why="no route"), LOST],
        "the service has been out of reach since 12:00:50: no route.",
    ),
    (
        [
            OutageBegan(at=NOON + 20, users=3),
            OutageEnded(at=NOON + 30, since=NOON + 20, attempts=1),
            LOST,
        ],
        "no heartbeat was acknowledged in time.",
    ),
    (
        [Seen(at=NOON + 9, user="alice", action="timeout", name="lobby")],
        "the service timed the user out, whatever this client had sent.",
    ),
    (
        [Released(at=NOON, user="alice", names=("lobby",), why="closed")],
        "the lease ended without a leave, so the service timed the user out.",
    ),
    (
        [
            Asked(at=NOON, user="alice", what="heartbeat", names=("lobby",), status=0),
            Seen(at=NOON + 9, user="alice", action="timeout", name="lobby"),
        ],
        "no heartbeat arrived in time.",
    ),
    (
        [
            Asked(
                at=NOON, user="alice", what="heartbeat", names=("lobby",), status=200
            ),
            Seen(at=NOON + 9, user="alice", action="timeout", name="lobby"),
        ],
        "the last good heartbeat had arrived at 12:00:00, and none followed.",
    ),
]


@pytest.mark.parametrize(("facts", "reason"), VERDICTS)
def test_the_verdict_names_the_reason(facts: Sequence[Fact], reason: str) -> None:
    assert reason in told(*facts).verdict.partition(" because ")[2]


def test_failures_of_several_names_end_in_one_verdict() -> None:
    both = ("lobby", "news")
    join = Joined(at=NOON, user="alice", names=both, timeout_s=60)
    lost = Lost(at=NOON + 60, user="alice", names=both, until=NOON + 60)

    verdict = explained("alice", [join, lost], at=None, now=NOON + 90).verdict

    assert verdict.startswith("alice has been shown offline on lobby and news since")


def test_a_join_that_was_taken_back_is_told() -> None:
    left = Left(at=NOON, user="alice", names=("lobby",), why="undone")

    verdict = explained("alice", [left], at=None, now=NOON + 9).verdict

    assert verdict == "alice was not kept on lobby: a join was taken back at 12:00:00."


def test_above_a_story_the_verdict_never_says_that_nothing_is_known() -> None:
    turn = Turn(at=NOON, user="alice", is_ours=True)
    asked = Asked(
        at=NOON, user="alice", what="heartbeat", names=("a",), status=403, times=2
    )

    verdicts = [
        explained("alice", [fact], at=None, now=NOON + 9).verdict
        for fact in (turn, asked)
    ]

    assert verdicts == [
        "Whether alice was shown online does not follow from what is known.",
        "The service announced nothing of alice, though 2 requests of the user arrived,"
        " answered with 403.",
    ]


def test_another_day_is_named() -> None:
    story = str(told(LOST, now=NOON + DAY_S))
    later = Back(at=NOON + DAY_S, user="alice", names=("lobby",), was="lost")

    assert "since 12:01:00 on 27 November because" in story
    assert "\n\n28 November 2026\n12:00:00  A heart" in str(told(LOST, later))


def test_a_process_that_is_alive_has_not_ended() -> None:
    facts = [
        Started(at=NOON, run="one", host="web1", pid=7),
        Joined(at=NOON, run="one", user="alice", names=("lobby",), timeout_s=60),
        Alive(at=NOON + 570, run="one", users=1),
    ]

    told = explained("alice", facts, at=None, now=NOON + 600)
    later = explained("alice", facts, at=None, now=NOON + 700)

    assert told.verdict.startswith(
        "alice has been shown online on lobby since 12:00:00, as far as the file tells,"
        " which was last written at 12:09:30."
    )
    assert "process 7 on web1 ended without closing its client" in later.verdict


@pytest.mark.parametrize("at", [None, NOON + 100])
def test_of_a_silent_process_it_is_told_how_it_stood_when_it_last_wrote(
    at: float | None,
) -> None:
    facts = [
        Started(at=NOON, run="one", host="web1", pid=7),
        Joined(at=NOON, run="one", user="alice", names=("lobby",), timeout_s=120),
        Alive(at=NOON + 58, run="one", users=1),
    ]

    told = explained("alice", facts, at=at, now=NOON + 100)
    later = explained("alice", facts, at=at, now=NOON + 149)

    assert told.verdict == (
        "As of 12:00:58, when the file was last written, alice had been shown online on"
        " lobby since 12:00:00. The process may have ended since."
    )
    assert later.verdict == (
        "alice may have been shown offline on lobby since 12:00:58 because process 7 on"
        " web1 ended without closing its client, and its heartbeats with it."
    )


def test_a_leave_that_is_given_up_concerns_every_name() -> None:
    given_up = GaveUp(at=NOON + 5, user="alice", what="leave", names=(), why="503")

    assert "its leave failed (503)" in told(given_up).verdict


def test_of_very_many_names_the_latest_are_told() -> None:
    joins = [
        Joined(at=NOON, user="alice", names=(f"c{n}",), timeout_s=60)
        for n in range(2000)
    ]
    leaves = [
        Left(at=NOON + 1 + n, user="alice", names=(f"c{n}",)) for n in range(2000)
    ]

    verdict = explained("alice", [*joins, *leaves], at=None, now=NOON + 9000).verdict

    assert verdict.count("because") == 3
    assert verdict.endswith("So it is, for longer, on c0, c1, c2 and 1994 more.")
