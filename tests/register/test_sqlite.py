"""The register in a file: where it may be, and what happens to the file."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from presence_async import InvalidArgumentError, RegisterError
from presence_async.register import SqliteRegister, sqlite_place
from presence_async.register.values import (
    UNKNOWN,
    Attendance,
    Claiming,
    Holding,
    Standing,
    Wish,
    Worker,
)

pytestmark = pytest.mark.real_time

ME, OTHER = Worker("sub", "me"), Worker("sub", "other")
ALICE = Holding("alice", (Wish("lobby", 300),))
ATTENDANCE = Attendance(10.0)


async def is_known(register: SqliteRegister, worker: Worker = ME) -> bool:
    [claimed] = await register.claim(worker, [Claiming("alice", 140)], 10.0)
    return claimed != UNKNOWN


def files(folder: Path, pattern: str = "*") -> list[Path]:
    return sorted(folder.glob(pattern))


def modes(folder: Path) -> dict[str, int]:
    return {x.name: stat.S_IMODE(x.stat().st_mode) for x in folder.iterdir()}


async def test_what_is_held_outlives_the_register(tmp_path: Path) -> None:
    register = SqliteRegister(tmp_path / "r.db")
    await register.open()
    assert await register.hold(ME, [ALICE]) == [(Standing("lobby"),)]
    await register.close()

    register = SqliteRegister(tmp_path / "r.db")
    await register.open()
    assert await is_known(register)
    await register.close()


async def test_its_files_are_for_the_owner_alone(tmp_path: Path) -> None:
    register = SqliteRegister(tmp_path / "r.db")
    await register.open()
    await register.hold(ME, [ALICE])

    assert modes(tmp_path) == {"r.db": 0o600, "r.db-wal": 0o600, "r.db-shm": 0o600}
    await register.close()


async def test_its_thread_ends_when_the_last_client_closes(tmp_path: Path) -> None:
    register = SqliteRegister(tmp_path / "r.db")
    await register.open()
    await register.open()
    await register.close()
    await register.hold(ME, [ALICE])
    running = [x.name for x in threading.enumerate() if "presence" in x.name]
    assert running == ["presence-register_0"]

    await register.close()

    assert not [x for x in threading.enumerate() if "presence" in x.name]
    with pytest.raises(RegisterError, match="not open"):
        await register.hold(ME, [ALICE])


async def test_a_folder_must_be_there(tmp_path: Path) -> None:
    register = SqliteRegister(tmp_path / "no" / "r.db")

    with pytest.raises(InvalidArgumentError, match="path: there is no folder"):
        await register.open()

    assert not [x for x in threading.enumerate() if "presence" in x.name]


async def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="is no file"):
        await SqliteRegister(tmp_path).open()


async def test_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"36 35 98:0 / {tmp_path} rw,noatime shared:1 - nfs4 host:/ rw\n")
    monkeypatch.setattr(sqlite_place, "_MOUNTS", mounts)

    with pytest.raises(InvalidArgumentError, match=r"network file system \(nfs4\)"):
        await SqliteRegister(tmp_path / "r.db").open()

    assert not (tmp_path / "r.db").exists()


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/srv/data", "nfs4"),
        ("/srv/data/local", ""),
        ("/srv/data2", ""),
        ("/mnt/a b", "cifs"),
        ("/mnt/twice", "9p"),
        ("/home", ""),
    ],
)
def test_a_folder_is_on_the_nearest_mount(folder: str, kind: str) -> None:
    mounts = (
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "2 1 0:1 / /srv/data rw shared:1 master:2 - nfs4 host:/x rw\n"
        "3 2 0:2 / /srv/data/local rw - xfs /dev/sdb rw\n"
        "4 1 0:3 / /mnt/a\\040b rw - cifs //host/x rw\n"
        "5 1 0:4 / /mnt/twice rw - ext4 /dev/sdc rw\n"
        "6 5 0:5 / /mnt/twice rw - 9p host rw\n"
        "not a mount\n"
    )

    assert sqlite_place.network(Path(folder), mounts) == kind


async def test_a_file_that_is_no_database_is_renamed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "r.db").write_text("no database " * 100)
    register = SqliteRegister(tmp_path / "r.db")

    await register.open()

    await register.hold(ME, [ALICE])
    [aside] = files(tmp_path, "r.db.broken-*")
    assert aside.read_text().startswith("no database")
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "file is not a database" in record.getMessage()
    await register.close()


async def test_a_file_of_another_version_is_renamed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    register = SqliteRegister(tmp_path / "r.db")
    await register.open()
    await register.close()
    with sqlite3.connect(tmp_path / "r.db") as file:
        file.execute("PRAGMA user_version = 99")
    file.close()

    await register.open()

    assert await register.hold(ME, [ALICE])
    assert [x.levelno for x in caplog.records] == [logging.WARNING]
    await register.close()


async def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "r.db") as file:
        file.execute("CREATE TABLE mine (x)")
    file.close()
    before = (tmp_path / "r.db").read_bytes()

    with pytest.raises(InvalidArgumentError, match="another program's"):
        await SqliteRegister(tmp_path / "r.db").open()

    assert files(tmp_path, "*broken*") == []
    assert (tmp_path / "r.db").read_bytes() == before


async def test_a_file_that_breaks_later_is_renamed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    register = SqliteRegister(tmp_path / "r.db")
    await register.open()
    first = (await register.depart(ME, ATTENDANCE)).epoch
    await register.hold(ME, [ALICE])
    await register.close()
    await register.open()
    with (tmp_path / "r.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 8)

    departures = await register.depart(ME, Attendance(10.0, had_epoch=first))

    assert departures.is_new
    assert departures.epoch != first
    assert not await is_known(register)
    assert files(tmp_path, "r.db.broken-*")
    assert [x.levelno for x in caplog.records] == [logging.WARNING]
    await register.close()


async def test_a_record_that_cannot_be_read_is_a_broken_file(tmp_path: Path) -> None:
    register = SqliteRegister(tmp_path / "r.db")
    await register.open()
    await register.hold(ME, [ALICE])
    with sqlite3.connect(tmp_path / "r.db") as file:
        file.execute("UPDATE records SET record = x'00'")
    file.close()

    assert not await is_known(register)

    assert files(tmp_path, "r.db.broken-*")
    await register.close()


async def test_a_deleted_file_is_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = (SqliteRegister(tmp_path / "r.db") for _ in range(2))
    await one.open()
    await two.open()
    await one.hold(ME, [ALICE])
    epoch = (await one.depart(ME, ATTENDANCE)).epoch
    for ending in ("", "-wal", "-shm"):
        (tmp_path / f"r.db{ending}").unlink()

    departures = await one.depart(ME, Attendance(10.0, had_epoch=epoch))
    await one.hold(ME, [ALICE])
    # The last connection to the old file must not take the log of the new one along.
    await two.depart(OTHER, ATTENDANCE)

    assert departures.epoch != epoch
    three = SqliteRegister(tmp_path / "r.db")
    await three.open()
    for register in (one, two, three):
        assert await is_known(register)
        await register.close()
    assert all("deleted or replaced" in x.getMessage() for x in caplog.records)
    assert [x.name for x in files(tmp_path)] == ["r.db"]


async def test_a_locked_file_is_away_and_comes_back(tmp_path: Path) -> None:
    register = SqliteRegister(tmp_path / "r.db")
    await register.open()
    locker = sqlite3.connect(tmp_path / "r.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")

    async with asyncio.timeout(2):
        with pytest.raises(RegisterError, match=r"sqlite: .*locked"):
            await register.hold(ME, [ALICE])

    locker.execute("ROLLBACK")
    locker.close()
    await register.hold(ME, [ALICE])
    assert await is_known(register)
    await register.close()


async def test_a_refused_change_leaves_nothing_half_done(tmp_path: Path) -> None:
    register = SqliteRegister(tmp_path / "r.db")
    await register.open()
    bad = Holding("bob", (Wish("lobby", "long"),))  # type: ignore[arg-type]

    with pytest.raises(TypeError):
        await register.hold(ME, [ALICE, bad])

    with sqlite3.connect(tmp_path / "r.db") as file:
        assert file.execute("SELECT count(*) FROM held").fetchone() == (0,)
    file.close()
    assert await register.hold(ME, [ALICE])
    await register.close()


async def test_records_that_nobody_misses_are_deleted(tmp_path: Path) -> None:
    now = [1e9]
    register = SqliteRegister(tmp_path / "r.db", clock=lambda: now[0])
    await register.open()
    await register.hold(ME, [ALICE])
    await register.depart(ME, ATTENDANCE)

    now[0] += 4 * 300 + 60 + 3600
    await register.depart(ME, ATTENDANCE)

    with sqlite3.connect(tmp_path / "r.db") as file:
        assert file.execute("SELECT count(*) FROM records").fetchone() == (0,)
    file.close()
    await register.close()


def hold_many(path: Path, which: int, began: multiprocessing.Queue[int]) -> None:
    async def hold() -> None:
        register = SqliteRegister(path)
        await register.open()
        worker = Worker("sub", f"worker {which}")
        for i in range(50):
            await register.hold(worker, [Holding(f"{which} {i}", ALICE.wishes)])
        await register.close()

    asyncio.run(hold())
    began.put(which)


async def test_processes_that_find_a_broken_file_share_one_fresh_file(
    tmp_path: Path,
) -> None:
    (tmp_path / "r.db").write_text("no database " * 100)
    fresh = multiprocessing.get_context("spawn")
    ended = fresh.Queue()
    many = [
        fresh.Process(target=hold_many, args=(tmp_path / "r.db", i, ended))
        for i in range(3)
    ]
    for process in many:
        process.start()
    for process in many:
        process.join(60)

    assert [x.exitcode for x in many] == [0, 0, 0]
    assert len(files(tmp_path, "r.db.broken-*")) == 1
    with sqlite3.connect(tmp_path / "r.db") as file:
        assert file.execute("SELECT count(*) FROM records").fetchone() == (150,)
    file.close()
    ended.close()
