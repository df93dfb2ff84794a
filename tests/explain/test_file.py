"""Facts in a file: lines that nothing breaks, rotation, and files that are away."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from presence_async.explain.circumstances import Alive, Started
from presence_async.explain.facts import Fact, Failed, Joined, Lost
from presence_async.explain.file import FactFile, lines_of, read_facts
from presence_async.explain.story import explained

HOSTILE = 'a\n\r\x1b[31m\u202e\u2028\x85\x9b","is":"left'


def write(file: FactFile, *facts: Fact) -> None:
    for fact in facts:
        file.open()
        file.write(fact, "run")


def lost(at: float, user: str = "alice") -> Lost:
    return Lost(at=at, user=user, names=("lobby",), until=at)


def test_what_is_written_is_read_whatever_the_names(tmp_path: Path) -> None:
    path = tmp_path / "decisions"
    facts = [
        Started(at=1, host="web1", pid=7),
        Joined(at=2, user=HOSTILE, names=(HOSTILE, ",group"), timeout_s=300),
        Failed(at=3, user=HOSTILE, what="heartbeat", names=("a",), why=HOSTILE),
        Alive(at=4, users=1),
    ]
    file = FactFile(path)
    write(file, *facts)
    file.close()

    text = path.read_bytes().decode("ascii")
    assert len(text.splitlines()) == 4
    assert text.isprintable() or all(line.isprintable() for line in text.splitlines())
    read, unread = read_facts(lines_of(path))
    assert [(fact.run, fact.user) for fact in read] == [
        ("run", fact.user) for fact in facts
    ]
    assert isinstance(read[2], Failed)
    assert (read[2].why, unread) == (HOSTILE, 0)


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "decisions"
    file = FactFile(path)
    write(file, lost(1))
    file.close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_last_line_that_is_cut_is_no_fault_and_others_are_counted() -> None:
    good = b'{"is": "lost", "at": 5, "user": "alice", "names": ["lobby"], "until": 5}\n'
    odd = [
        b"\n",
        b"[1]\n",
        b'{"is": "unheard-of", "at": 5}\n',
        good.replace(b"5,", b"1e300,", 1),
        b"[" * 100_000 + b"\n",
        b'{"is": "lo',
    ]

    facts, unread = read_facts([good, *odd])

    assert facts == [lost(5)]
    assert unread == 4


def test_a_file_that_is_too_large_becomes_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "decisions"
    file = FactFile(path, 500)
    opened = 0
    for at in range(30):
        opened += file.open()
        file.write(lost(at), "run")
    file.close()

    assert path.stat().st_size <= 600
    assert opened > 2
    facts, unread = read_facts(lines_of(path))
    assert unread == 0
    newest = [fact.at for fact in facts]
    assert newest == sorted(newest)
    assert newest[-1] == 29
    assert len(newest) > 5
    files = sorted(each.name for each in tmp_path.iterdir())
    assert files == ["decisions", "decisions.1"]


def test_a_file_that_was_moved_away_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "decisions"
    file = FactFile(path)
    write(file, lost(1))
    path.rename(tmp_path / "yesterday")

    write(file, lost(2))
    file.close()

    assert json.loads(path.read_bytes())["at"] == 2


def test_two_clients_may_write_into_one_file(tmp_path: Path) -> None:
    path = tmp_path / "decisions"
    files = [FactFile(path, 2_000), FactFile(path, 2_000)]
    for at in range(40):
        write(files[at % 2], lost(at))
    for file in files:
        file.close()

    facts, unread = read_facts(lines_of(path))
    assert unread == 0
    assert [fact.at for fact in facts][-20:] == list(range(20, 40))


def test_of_two_clients_that_find_it_too_large_one_moves_it(tmp_path: Path) -> None:
    path = tmp_path / "decisions"
    files = [FactFile(path, 60), FactFile(path, 60)]
    for file in files:
        write(file, lost(1))
    first, second = (file._number for file in files)
    assert first is not None
    assert second is not None

    # Both have looked before either moves it.
    assert files[0]._rotate(first)
    assert not files[1]._rotate(second)
    write(files[0], lost(2))
    assert files[1]._rotate(second)
    write(files[1], lost(3))
    for file in files:
        file.close()

    assert [fact.at for fact in read_facts(lines_of(path))[0]] == [1, 1, 2, 3]


def test_one_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "decisions"
    path.touch(0o640)
    file = FactFile(path)
    write(file, lost(1))
    file.close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_line_after_one_that_was_cut_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "decisions"
    file, write_all = FactFile(path), os.write
    monkeypatch.setattr(os, "write", lambda n, data: write_all(n, data[:20]))
    write(file, lost(1))
    monkeypatch.undo()

    write(file, lost(2))
    file.close()

    facts, unread = read_facts(lines_of(path))
    assert (facts[0].at, len(facts), unread) == (2, 1, 1)


def test_a_pipe_without_a_reader_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(OSError, match="No such device"):
        FactFile(tmp_path / "pipe").open()


@pytest.mark.parametrize(
    "more",
    [
        {"is": "lost", "names": ["lobby"], "until": 1e300},
        {"is": "lost", "names": ["lobby"], "until": 1.0, "acked": -1e300},
        {"is": "failed", "what": "heartbeat", "names": ["a"], "why": "", "last": 1e15},
        {"is": "joined", "names": ["lobby"], "timeout_s": -(10**18)},
        {"is": "handedover", "names": ["lobby"], "timeout_s": 10**18},
    ],
)
def test_a_line_with_times_that_no_clock_shows_is_left_out(
    more: dict[str, object],
) -> None:
    line = json.dumps({"at": 5, "user": "alice", **more}).encode() + b"\n"

    assert read_facts([line]) == ([], 1)


def test_nothing_that_a_file_says_steers_the_terminal() -> None:
    kinds = ({"is": "failed", "why": "", "times": 2}, {"is": "asked", "status": 200})
    lines = [
        json.dumps({"at": 5, "user": "alice", "what": what, "names": ["a"], **more})
        for what in ("\x1b[31m", "")
        for more in kinds
    ]
    facts, unread = read_facts(line.encode() for line in lines)

    told = str(explained("alice", facts, at=None, now=10.0))
    assert unread == 0
    assert all(line.isprintable() for line in told.split("\n"))


def test_a_line_without_an_end_is_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "decisions"
    path.write_bytes(bytes(3 * 2**20) + b"\n")
    file = FactFile(path)
    write(file, lost(1))
    file.close()

    assert max(map(len, lines_of(path))) == 2**20
    facts, unread = read_facts(lines_of(path))
    assert (len(facts), unread > 0) == (1, True)


def test_whoever_comes_after_a_half_line_begins_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "decisions"
    path.write_text('{"is": "lost", "at": 1, "us')
    file = FactFile(path)
    write(file, lost(2))
    file.close()

    facts, unread = read_facts(lines_of(path))
    assert ([fact.at for fact in facts], unread) == ([2], 1)
