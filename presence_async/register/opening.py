"""Which register a text means: on a command line, or in the environment."""

from __future__ import annotations

from .sqlite import SqliteRegister
from .valkey import ValkeyRegister

__all__ = ["register_at"]


def register_at(text: str) -> SqliteRegister | ValkeyRegister:
    """Return the register at a URL, or else in a file.

    Args:
        text: The URL of a Valkey or Redis server, or the path of an SQLite file.

    Raises:
        InvalidArgumentError: The URL has an unknown scheme.
    """
    return ValkeyRegister(text) if "://" in text else SqliteRegister(text)
