"""Explanation: the verdict on a user, and the decisions it rests on."""

from __future__ import annotations

import datetime as dt
import re
import textwrap
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

import attrs

from ..errors import InvalidArgumentError
from . import words
from .circumstances import Started
from .concluded import ran_out, told_at, with_ends
from .facts import Fact, GaveUp, HandedOver, Kept, Left, StillHeld
from .merging import end_of, merge
from .moment import aware
from .telling import lines
from .timeline import Timeline
from .verdict import verdict

__all__ = ["Decision", "Explanation", "explained"]

_WIDTH = 88
_BEFORE_S, _AFTER_S = 3600.0, 900.0
"""What is told around a time that is asked about."""
_SLACK_S = 1.0
"""A time taken just before may be later than one in whole milliseconds."""
_LAST = (Left, StillHeld, HandedOver, GaveUp)
_NUMBER = re.compile(r"(\d) (s|min|h|days)\b")


@attrs.frozen(kw_only=True)
class Decision:
    """One thing that was decided about a user, or that happened to them.

    Attributes:
        at: When, in UTC.
        kind: What it was, in a word, such as ``joined``, ``failed``, ``lost``,
            ``left``; further kinds may come.
        text: The same as a sentence or two.
        process: Who tells it, ``host:pid``, if the story is of several processes.
    """

    at: dt.datetime
    kind: str
    text: str
    process: str | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the fields ready for JSON."""
        return {**attrs.asdict(self), "at": self.at.isoformat()}


@attrs.frozen(kw_only=True)
class Explanation:
    """Why a user was shown as they were; ``str()`` of it is the story.

    Attributes:
        user_id: The user.
        at: The time that was asked about, in UTC.
        verdict: The answer in a sentence.
        decisions: What it rests on, oldest first; times in it are local.
        is_complete: Whether nothing older was dropped that may concern the user.
        left_out: How many decisions were left out as too far from ``at``: more than an
            hour earlier, or a quarter of an hour later.
    """

    user_id: str
    at: dt.datetime
    verdict: str
    decisions: tuple[Decision, ...]
    is_complete: bool
    left_out: int = 0

    def __str__(self) -> str:
        told = [_wrapped(self.verdict)]
        if self.decisions:
            told += ["", *_story(self.decisions)]
        if self.left_out:
            left_out = words.count(self.left_out, "decision")
            told += ["", f"Left out as long before or after: {left_out}."]
        if not self.is_complete:
            told += ["", "Older decisions are not remembered any more."]
        return "\n".join(told)

    def to_dict(self) -> dict[str, object]:
        """Return the fields ready for JSON."""
        return {
            "user_id": self.user_id,
            "at": self.at.isoformat(),
            "verdict": self.verdict,
            "decisions": [decision.to_dict() for decision in self.decisions],
            "is_complete": self.is_complete,
            "left_out": self.left_out,
        }


def _story(decisions: Sequence[Decision]) -> list[str]:
    """Return a line for each decision, below the date of the first of a day."""
    told: list[str] = []
    day = ""
    zone = f", times in {words.zone(decisions[0].at.timestamp())}"
    width = max(len(decision.process or "") for decision in decisions)
    for decision in decisions:
        at = decision.at.timestamp()
        if words.date(at) != day:
            day = words.date(at)
            told += [*([""] if told else []), f"{day}{zone}"]
            zone = ""
        process = f"{decision.process or '':{width}}  " if width else ""
        start = f"{words.clock(at)}  {process}"
        told.append(_wrapped(decision.text, start))
    return told


def _wrapped(text: str, start: str = "") -> str:
    """Return text in lines, with numbers beside their units."""
    bound = _NUMBER.sub("\\1\xa0\\2", text)
    lines = textwrap.wrap(
        bound,
        max(_WIDTH, len(start) + _WIDTH // 2),
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace("\xa0", " ")


def explained(
    user_id: str,
    facts: Iterable[Fact],
    *,
    at: float | None,
    now: float,
    since: float = 0.0,
) -> Explanation:
    """Tell the story of a user.

    Args:
        user_id: The user.
        facts: About the user and about everybody, from one client or several.
        at: The time that is asked about; ``None``: now.
        now: The time of asking.
        since: From when on no facts were dropped.

    Raises:
        InvalidArgumentError: The time is in the future.
    """
    if at is not None and at > now + _SLACK_S:
        raise InvalidArgumentError("at", "is in the future")
    given = list(facts)
    known = _coalesced(_concerning(user_id, with_ends(given, now)))
    timeline = Timeline(known, now, since)
    concluded = ran_out(timeline.spells, user_id)
    named = _processes(known)
    told = [
        (fact, text)
        for fact, text in lines(
            words.printable(user_id),
            sorted([*known, *concluded], key=told_at),
            timeline.doubtful,
        )
        if named or not isinstance(fact, Started)
    ]
    near = told if at is None else _around(at, told, timeline)
    return Explanation(
        user_id=user_id,
        at=aware(now if at is None else at),
        verdict=verdict(
            user_id,
            known,
            timeline,
            at=at,
            now=now,
            written=_written(user_id, given, timeline.keepers),
        ),
        decisions=tuple(
            Decision(
                at=aware(told_at(fact)),
                kind=type(fact).__name__.lower(),
                text=text,
                process=named.get(fact.run),
            )
            for fact, text in near
        ),
        is_complete=not since,
        left_out=_decided(told) - _decided(near),
    )


def _around(
    at: float, told: Iterable[tuple[Fact, str]], timeline: Timeline
) -> list[tuple[Fact, str]]:
    """Return what was told near a time, and when what was the case then had begun."""
    begins = {spell.begins for spell in timeline.spells_at(at)}
    return [
        (fact, text)
        for fact, text in told
        if told_at(fact) in begins
        or (at - _BEFORE_S <= end_of(fact) and told_at(fact) <= at + _AFTER_S)
    ]


def _decided(told: Iterable[tuple[Fact, str]]) -> int:
    """Return how many decisions were told; how it stands now is none."""
    return sum(not isinstance(fact, Kept) for fact, _ in told)


def _written(user_id: str, facts: Sequence[Fact], keepers: AbstractSet[str]) -> float:
    """Return when a process last wrote that keeps a user, or did; 0: none writes."""
    runs = {fact.run for fact in facts if fact.user == user_id and fact.run}
    runs = runs & keepers or runs
    return max((end_of(fact) for fact in facts if fact.run in runs), default=0.0)


def _concerning(user_id: str, facts: Sequence[Fact]) -> list[Fact]:
    """Return a user's own facts, and of the others those of the same time and run."""
    own: dict[str, list[Fact]] = {}
    for fact in facts:
        if fact.user == user_id:
            own.setdefault(fact.run, []).append(fact)
    return [
        fact
        for fact in facts
        if fact.user == user_id
        or (not fact.user and fact.run in own and _is_near(fact, own[fact.run]))
    ]


def _is_near(fact: Fact, own: Sequence[Fact]) -> bool:
    """Return True if something happened to everybody while a user was kept."""
    if isinstance(fact, Started):
        return True
    is_over = isinstance(own[-1], _LAST)
    return told_at(own[0]) <= fact.at and (not is_over or fact.at <= own[-1].at)


def _coalesced(facts: Iterable[Fact]) -> list[Fact]:
    told: list[Fact] = []
    for fact in facts:
        if not merge(told, fact):
            told.append(fact)
    return told


def _processes(facts: Iterable[Fact]) -> dict[str, str]:
    """Return what to call each process, if there are several."""
    starts = {f.run: f for f in facts if isinstance(f, Started)}
    if len(starts) < 2:  # noqa: PLR2004  # a single one goes without saying
        return {}
    return {run: words.printable(f"{f.host}:{f.pid}") for run, f in starts.items()}
