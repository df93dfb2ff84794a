"""What ``watch`` and ``join`` draw, without a terminal: all widths, all names."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from presence_async import (
    GapEvent,
    JoinEvent,
    LeaseHealth,
    LeaveEvent,
    Occupant,
    SnapshotEvent,
    StreamHealth,
)
from presence_async.cli.join_status import JoinStatus
from presence_async.cli.sparkline import CountHistory, sparkline
from presence_async.cli.tables import age
from presence_async.cli.watch_lines import event_lines
from presence_async.cli.watch_screen import View, WatchScreen, shares
from presence_async.cli.watched import Watched

AT_MS = 1_700_000_000_000
HOSTILE = [
    *("\x1b[31mred\x1b[0m\x07", "[red]markup[/red] [link=x]", "\u202egnp.exe"),
    *("a\nb\r\tc", "x" * 92, "日本語のユーザー名前" * 3, "👩\u200d👧", "שלום"),
]


def snapshot(users: Sequence[str]) -> SnapshotEvent:
    return SnapshotEvent(
        channel="lobby",
        occupancy=len(users),
        timetoken=1,
        timestamp_ms=AT_MS,
        occupants=tuple(Occupant(user_id=user, state={}) for user in users),
    )


def join(user: str, occupancy: int, *, synthesized: bool = False) -> JoinEvent:
    return JoinEvent(
        channel="lobby",
        occupancy=occupancy,
        timetoken=2,
        timestamp_ms=AT_MS + 1000 * occupancy,
        user_id=user,
        synthesized=synthesized,
    )


def leave(user: str, occupancy: int) -> LeaveEvent:
    return LeaveEvent(
        channel="lobby",
        occupancy=occupancy,
        timetoken=3,
        timestamp_ms=AT_MS,
        user_id=user,
    )


def view(users: Sequence[str], channel: str = "lobby", problem: str = "") -> View:
    """A channel on which the last third of the users has joined, one each 20 s."""
    watched = Watched(channel)
    there = len(users) - len(users) // 3
    watched.take(snapshot(users[:there]), 0)
    for number, user in enumerate(users[there:], start=1):
        watched.take(join(user, there + number), min(280, 20 * number))
    occupants = [
        Occupant(user_id=user, state={"n": number} if number % 2 else {})
        for number, user in enumerate(users)
    ]
    health = StreamHealth.REFUSED if problem else StreamHealth.LIVE
    return View(watched, occupants, health, problem)


def drawn(
    picture: RenderableType, width: int, height: int = 24, encoding: str = "utf-8"
) -> list[str]:
    """Return the lines of a picture, without the spaces at their ends."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, height=height, color_system=None)
    console.print(picture, end="")
    file.flush()
    text = file.buffer.getvalue().decode(encoding)
    return [line.rstrip() for line in text.removesuffix("\n").split("\n")]


def screen(*views: View) -> WatchScreen:
    return WatchScreen(views, now_s=65)


THREE = ["alice", "bob", "carol"]
HINT = "  if somebody should be: presence-async doctor lobby"


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_channel_has_a_heading_users_and_the_last_events(width: int) -> None:
    lines = drawn(screen(view(THREE)), width)
    carol = next(line for line in lines if line.startswith("  carol"))

    assert lines[0].split() == ["lobby", "3", "here", "▆" * 4 + "█" * 10, "live"]
    assert cell_len(lines[0]) == width
    assert lines[1].split()[:4] == ["user", "here", "for", "state"]
    assert lines[2].startswith("  alice   >1m 05s")
    assert lines[3].startswith('  bob     >1m 05s  {"n": 1}')
    assert carol.startswith("  carol       45s")
    # Beside the users where there is room, below them elsewhere.
    events = [line for line in lines if "join         carol (3 here)" in line]
    assert len(events) == 1
    assert ("user" in events[0]) == (width == 200)


def test_without_room_columns_go_one_after_the_other() -> None:
    headings = [drawn(screen(view(THREE)), width)[1].split() for width in (45, 30, 20)]

    assert headings == [
        ["user", "here", "for", "state"],
        ["user", "here", "for"],
        ["user"],
    ]


def test_an_empty_channel_says_what_to_do() -> None:
    lines = drawn(screen(view([])), 60)

    assert lines[1:3] == ["  nobody is here", HINT]


@pytest.mark.parametrize(("width", "height"), [(60, 12), (80, 24), (200, 50)])
def test_of_a_full_room_as_much_is_drawn_as_fits(width: int, height: int) -> None:
    lines = drawn(screen(view([f"user-{n:03}" for n in range(500)])), width, height)
    users = [line for line in lines if line.startswith("  user-")]
    more = next(line for line in lines if line.startswith("  … and"))

    assert len(lines) <= height
    assert lines[0].split()[1:3] == ["500", "here"]
    assert len(users) >= height // 2 - 2
    assert more.split()[2] == str(500 - len(users))
    assert any("(500 here)" in line for line in lines)


def test_channels_share_the_height_by_what_they_need() -> None:
    crowd = [f"user-{n:03}" for n in range(500)]
    views = [view(crowd, "big"), view(THREE), view([], "empty")]
    lines = drawn(screen(*views), 80, 24)

    assert [line.split()[0] for line in lines if line.endswith("live")] == [
        *("big", "lobby", "empty")
    ]
    assert "  carol       45s" in lines
    assert len(lines) <= 24


def test_more_channels_than_rows_are_counted() -> None:
    lines = drawn(screen(*[view(THREE, f"c{n}") for n in range(12)]), 60, 8)

    assert [line.split()[0] for line in lines[:7]] == [f"c{n}" for n in range(7)]
    assert lines[7:] == ["… and 5 more channels"]


@pytest.mark.parametrize(
    ("wanted", "total", "given"),
    [
        ([5, 5], 20, [5, 5]),
        ([100, 3, 100], 23, [10, 3, 10]),
        ([4, 4, 4], 10, [3, 3, 4]),
        ([], 10, []),
    ],
)
def test_rows_are_shared_fairly(
    wanted: list[int], total: int, given: list[int]
) -> None:
    assert shares(wanted, total) == given


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_hostile_names_do_not_control_the_terminal(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdout = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", stdout)
    views = [view(HOSTILE, "a\x1b[2J\nb", problem="answered '\x1b[2J'. Do this.")]
    for width in (60, 80, 200):
        lines = drawn(screen(*views), width, 40, encoding)

        assert all(line.isprintable() for line in lines)
        assert max(map(cell_len, lines)) <= width
        assert "[red]markup[/red]" in "".join(lines)
        assert r"answered '\x1b[2J'. Do this." in " ".join(lines)
        assert lines[0].endswith("refused")


def test_every_size_is_drawn_within_its_bounds() -> None:
    views = [view(HOSTILE, problem="denied " * 60), view(THREE), view([])]
    for width in (1, 2, 3, 7, 20, 41, 60, 119, 120):
        for height in (1, 2, 3, 4, 5, 7, 13):
            lines = drawn(screen(*views), width, height)
            assert len(lines) <= height, (width, height)
            assert max(map(cell_len, lines)) <= width, (width, height)


def test_since_when_users_are_here_survives_snapshots_and_corrections() -> None:
    watched = Watched("lobby")
    watched.take(snapshot(["alice"]), 10)
    watched.take(join("bob", 2), 20)
    watched.take(join("carol", 3, synthesized=True), 30)
    assert watched.seen("carol") == (30, False)
    watched.take(GapEvent(timetoken=1, timestamp_ms=1, reason="slow_consumer"), 40)
    watched.take(snapshot(["alice", "bob", "dave"]), 50)

    assert watched.seen("alice") == (10, False)
    assert watched.seen("bob") == (20, True)
    assert watched.seen("carol") is None
    assert watched.seen("dave") == (50, False)
    assert [event.action for event in watched.events] == ["join", "join", "gap"]

    watched.take(leave("bob", 2), 60)
    watched.take(join("bob", 3), 70)
    assert watched.seen("bob") == (70, True)


def test_counts_are_kept_for_five_minutes_however_many_come() -> None:
    history = CountHistory()
    for second in range(10_000):
        history.note(second, second)

    assert len(history._changes) <= 61
    assert history.counts(3, 9_999) == [9_989, 9_994, 9_999]
    assert history.counts(3, 10_999) == [9_999, 9_999, 9_999]
    assert len(history.counts(1_000, 9_999)) == 60


def test_bars_show_whoever_is_there() -> None:
    assert sparkline([0, 1, 50, 100]) == " ▁▄█"
    assert sparkline([0, 1, 50, 100], ascii_only=True) == " .-#"
    assert sparkline([0, 0]) == "  "
    assert sparkline([]) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0s"), (59.9, "59s"), (60, "1m 00s"), (7_260, "2h 01m"), (90_000, "1d 01h")],
)
def test_ages_have_two_units(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize("width", [60, 80])
def test_the_status_of_a_lease_is_one_line(width: int) -> None:
    status = JoinStatus(
        user_id="bob\x1b[2J",
        names=["lobby", "n" * 90],
        health=LeaseHealth.FRESH,
        remaining_s=287.9,
        beat_age_s=12.1,
        interval_s=149,
    )
    lines = drawn(status, width)

    assert len(lines) == 1
    assert cell_len(lines[0]) == width
    assert lines[0].startswith(
        "fresh  4m 47s left, last heartbeat 12s ago, every 149 s"
    )


def test_lines_of_more_than_one_channel_name_it() -> None:
    line = next(event_lines(join("bob", 2), "lob\nby"))

    assert line.split(maxsplit=1)[1] == r"lob\nby join         bob (2 here)"
