"""Where an SQLite register may be, and how one file takes another's place.

Several processes open the same path. A lock on the folder, which ends with a process,
keeps them from taking each other's fresh file for the broken one.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import InvalidArgumentError, RegisterError

try:
    import fcntl
except ImportError:  # Windows, which lets nobody rename an open file anyway
    _is_lockable = False
else:
    _is_lockable = True

__all__ = [
    "check_place",
    "create",
    "identity",
    "kept_aside",
    "locked_folder",
    "network",
    "set_aside",
]

_MOUNTS = Path("/proc/self/mountinfo")
# fmt: off
_NETWORK = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs", "gfs2", "glusterfs",
    "gpfs", "lustre", "nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb2", "smb3",
    "smbfs", "fuse.ceph", "fuse.cephfs", "fuse.davfs", "fuse.gcsfuse",
    "fuse.glusterfs", "fuse.goofys", "fuse.juicefs", "fuse.rclone", "fuse.s3fs",
    "fuse.sshfs",
})
# fmt: on
_LOCKED_FOR_S = 0.8
_LOOK_AGAIN_S = 0.01


def check_place(path: Path) -> None:
    """Refuse a path where no register can be.

    Raises:
        InvalidArgumentError: There is no such folder, or it is on a network file
            system, whose locks cannot be relied on. Only Linux says so.
    """
    if not path.parent.is_dir():
        raise InvalidArgumentError("path", f"there is no folder {path.parent}")
    if path.exists() and not path.is_file():
        raise InvalidArgumentError("path", f"{path} is no file")
    with contextlib.suppress(OSError):
        kind = network(path.parent.resolve(), _MOUNTS.read_text(encoding="utf-8"))
        if kind:
            rule = f"{path} is on a network file system ({kind}); use a local one"
            raise InvalidArgumentError("path", rule)


def network(folder: Path, mounts: str) -> str:
    """Return the kind of the network file system a folder is on; empty if on none."""
    longest, kind = -1, ""
    for line in mounts.splitlines():
        mount, _, about = line.partition(" - ")
        fields = mount.split(" ")
        if len(fields) <= 4 or not about:  # noqa: PLR2004  # the fifth is the place
            continue
        place = Path(_unescaped(fields[4]))
        # A later mount hides an earlier one in the same place.
        if folder.is_relative_to(place) and len(place.parts) >= longest:
            longest, kind = len(place.parts), about.split(" ")[0]
    return kind if kind in _NETWORK else ""


def _unescaped(text: str) -> str:
    for escape, character in (("040", " "), ("011", "\t"), ("012", "\n")):
        text = text.replace(f"\\{escape}", character)
    return text.replace("\\134", "\\")


def create(path: Path) -> None:
    """Create a file that only its owner can read, unless it is there."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another in the same place; ``None``: no file."""
    try:
        about = path.stat()
    except FileNotFoundError:
        return None
    return about.st_dev, about.st_ino


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Let nobody else open a register in a folder meanwhile.

    Raises:
        RegisterError: Somebody else did so for too long.
    """
    if not _is_lockable:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle)
        yield
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    until = time.monotonic() + _LOCKED_FOR_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise RegisterError("sqlite: another process opens it") from None
            time.sleep(_LOOK_AGAIN_S)
        else:
            return


def set_aside(path: Path, broken: tuple[int, int] | None) -> Path | None:
    """Rename a broken file, and what belongs to it; the folder is locked.

    Args:
        path: Where it is.
        broken: Which file it is: a fresh one in its place stays.

    Returns:
        Where it is now; ``None``: somebody else has done so.
    """
    if broken is None or identity(path) != broken:
        return None
    aside = path.with_name(f"{path.name}.broken-{time.time_ns() // 1_000_000}")
    for ending in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + ending).rename(
                aside.with_name(aside.name + ending)
            )
    return aside


@contextlib.contextmanager
def kept_aside(path: Path) -> Iterator[None]:
    """Hide what belongs to a file; the folder is locked.

    Closing the last connection to a file deletes what belongs to it by name, which may
    belong to a fresh file by then.
    """
    endings = ("-wal", "-shm")
    hidden = {
        path.with_name(path.name + x): path.with_name(f"{path.name}{x}.kept")
        for x in endings
    }
    moved = {x: y for x, y in hidden.items() if x.exists()}
    for shown, kept in moved.items():
        shown.rename(kept)
    try:
        yield
    finally:
        for shown, kept in moved.items():
            kept.rename(shown)
