"""What a register keeps in an SQLite file: its tables, and one transaction on them.

A transaction reads each record once and writes what has changed at its end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from .hub import Hub, Seat
from .record import Due, Entry, Holder, Record

__all__ = ["APPLICATION_ID", "LAYOUT", "TABLES", "SqliteShelf", "is_broken"]

APPLICATION_ID = 0x50726573
LAYOUT = 1
"""Another one when files of older versions can no longer be read."""

TABLES = """
CREATE TABLE hubs (key TEXT PRIMARY KEY, hub BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE keys (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE records (
    key INTEGER, user TEXT, expires INTEGER NOT NULL, record BLOB NOT NULL,
    PRIMARY KEY (key, user)
) WITHOUT ROWID;
CREATE TABLE held (
    key INTEGER, worker TEXT, user TEXT, PRIMARY KEY (key, worker, user)
) WITHOUT ROWID;
CREATE TABLE due (
    key INTEGER, user TEXT, at INTEGER NOT NULL, PRIMARY KEY (key, user)
) WITHOUT ROWID;
CREATE INDEX due_at ON due (key, at);
"""

_KEPT_LONGER = 3_600_000

_Holder = tuple[str, int, int, dict[str, int]]
_Entry = tuple[str, int, int, int, str, int, str, int, int, str, int, str, str]
_Seat = tuple[str, int, int, str, bool, str]

_encode = msgspec.msgpack.Encoder().encode
_decode_record = msgspec.msgpack.Decoder(tuple[list[_Holder], list[_Entry]]).decode
_decode_hub = msgspec.msgpack.Decoder(tuple[str, int, list[_Seat]]).decode


class SqliteShelf:
    """The records of one subscribe key, within one transaction.

    Args:
        file: The open file, in a transaction.
        subscribe_key: Whose records these are.
    """

    def __init__(self, file: sqlite3.Connection, subscribe_key: str) -> None:
        self._file = file
        self._subscribe_key = subscribe_key
        self._key = self._number()
        self._hub: Hub | None = None
        self._records: dict[str, Record | None] = {}
        self._changed: dict[str, Record] = {}

    def _number(self) -> int:
        find, key = "SELECT id FROM keys WHERE key = ?", (self._subscribe_key,)
        found = self._file.execute(find, key).fetchone()
        if found is None:
            self._file.execute("INSERT INTO keys (key) VALUES (?)", key)
            found = self._file.execute(find, key).fetchone()
        return int(found[0])

    def hub(self) -> Hub | None:
        """Return the hub, if there is one yet."""
        if self._hub is None:
            find = "SELECT hub FROM hubs WHERE key = ?"
            found = self._file.execute(find, (self._subscribe_key,)).fetchone()
            self._hub = None if found is None else _read_hub(found[0])
        return self._hub

    def put_hub(self, hub: Hub) -> None:
        """Keep the hub."""
        self._hub = hub
        self._file.execute(
            "INSERT OR REPLACE INTO hubs VALUES (?, ?)",
            (self._subscribe_key, _write_hub(hub)),
        )

    def record(self, user_id: str, now: int) -> Record | None:
        """Return a record that has not expired."""
        if user_id in self._records:
            record = self._records[user_id]
        else:
            record = self._records[user_id] = self._find(user_id)
        return None if record is None or record.expires <= now else record

    def _find(self, user_id: str) -> Record | None:
        found = self._file.execute(
            "SELECT expires, record FROM records WHERE key = ? AND user = ?",
            (self._key, user_id),
        ).fetchone()
        return None if found is None else _read_record(*found)

    def put_record(self, user_id: str, record: Record) -> None:
        """Keep a record, or forget it if it is empty."""
        self._records[user_id] = None if record.is_empty else record
        self._changed[user_id] = record

    def hold(self, worker_id: str, user_ids: Sequence[str]) -> None:
        """Note whom a worker holds."""
        self._file.executemany(
            "INSERT OR IGNORE INTO held VALUES (?, ?, ?)",
            [(self._key, worker_id, user_id) for user_id in user_ids],
        )

    def drop(self, worker_id: str, user_id: str) -> None:
        """Note that a worker holds a user no longer."""
        self._file.execute(
            "DELETE FROM held WHERE key = ? AND worker = ? AND user = ?",
            (self._key, worker_id, user_id),
        )

    def held(self, worker_id: str, limit: int) -> list[str]:
        """Return some of the users whom a worker holds."""
        return _column(
            self._file.execute(
                "SELECT user FROM held WHERE key = ? AND worker = ? LIMIT ?",
                (self._key, worker_id, limit),
            )
        )

    def set_due(self, user_id: str, due: Due) -> None:
        """Note when a user's departure has to be looked at."""
        if due is None:
            forget = "DELETE FROM due WHERE key = ? AND user = ?"
            self._file.execute(forget, (self._key, user_id))
        else:
            put = "INSERT OR REPLACE INTO due VALUES (?, ?, ?)"
            self._file.execute(put, (self._key, user_id, due))

    def advance_due(self, user_id: str, due: int) -> None:
        """Note that a user's departure has to be looked at then, or earlier."""
        self._file.execute(
            "INSERT INTO due VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET at = min(at, excluded.at)",
            (self._key, user_id, due),
        )

    def due(self, now: int | None, limit: int) -> list[str]:
        """Return users whose time has come; ``None``: whose time may still come."""
        last = 2**62 if now is None else now
        return _column(
            self._file.execute(
                "SELECT user FROM due WHERE key = ? AND at <= ? ORDER BY at LIMIT ?",
                (self._key, last, limit),
            )
        )

    def lingering(self) -> int:
        """Return how many users wait for their departure."""
        count = "SELECT count(*) FROM due WHERE key = ?"
        return int(self._file.execute(count, (self._key,)).fetchone()[0])

    def sweep(self, now: int) -> None:
        """Delete records that nobody will miss, of all subscribe keys.

        Not at once: the clock may have been set forward by mistake.
        """
        since = now - _KEPT_LONGER
        self._file.execute("DELETE FROM records WHERE expires <= ?", (since,))

    def write(self) -> None:
        """Write the records that have changed."""
        kept, gone = [], []
        for user_id, record in self._changed.items():
            if record.is_empty:
                gone.append((self._key, user_id))
            else:
                row = self._key, user_id, record.expires, _write_record(record)
                kept.append(row)
        self._file.executemany(
            "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)", kept
        )
        self._file.executemany("DELETE FROM records WHERE key = ? AND user = ?", gone)


def is_broken(error: Exception) -> bool:
    """Return True if an error says that a file is no database, or a corrupt one."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return isinstance(error, msgspec.MsgspecError) or code in {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }


def _column(rows: Iterable[tuple[str]]) -> list[str]:
    return [row[0] for row in rows]


def _read_record(expires: int, data: bytes) -> Record:
    holders, names = _decode_record(data)
    record = Record()
    record.expires = expires
    record.holders = {x: Holder(until, life, y) for x, until, life, y in holders}
    for row in names:
        # Every field is set: without its defaults a third faster.
        entry = record.names[row[0]] = Entry.__new__(Entry)
        _, entry.beat, entry.timeout, entry.said, entry.beater = row[:5]
        entry.claimed, entry.claimer, entry.linger = row[5:8]
        entry.leaving, entry.leaver = row[8:10]
        entry.version, entry.author, entry.state = row[10:]
    return record


def _write_record(record: Record) -> bytes:
    return _encode((
        [(x, y.until, y.life, y.wishes) for x, y in record.holders.items()],
        [
            (
                *(name, e.beat, e.timeout, e.said, e.beater),
                *(e.claimed, e.claimer, e.linger),
                *(e.leaving, e.leaver),
                *(e.version, e.author, e.state),
            )
            for name, e in record.names.items()
        ],
    ))


def _read_hub(data: bytes) -> Hub:
    epoch, guard, seats = _decode_hub(data)
    hub = Hub(epoch)
    hub.guard = guard
    for worker_id, until, life, label, is_closing, undertaker in seats:
        seat = hub.seats[worker_id] = Seat(until, life, label)
        seat.is_closing, seat.undertaker = is_closing, undertaker
    return hub


def _write_hub(hub: Hub) -> bytes:
    seats = [
        (x, y.until, y.life, y.label, y.is_closing, y.undertaker)
        for x, y in hub.seats.items()
    ]
    return _encode((hub.epoch, hub.guard, seats))
