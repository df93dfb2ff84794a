"""Names that a module offers and that are imported when they are first used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

__all__ = ["on_first_use"]


def on_first_use(name: str, homes: Mapping[str, str], module: dict[str, Any]) -> object:
    """Import what a module's ``__getattr__`` was asked for.

    Args:
        name: The name.
        homes: For each name its home: what stands after ``from .``.
        module: The module's ``globals()``, where the name stays from now on.

    Raises:
        AttributeError: The module has no such name.
    """
    home = homes.get(name)
    if home is None:
        message = f"module {module['__name__']!r} has no attribute {name!r}"
        raise AttributeError(message)
    found = importlib.import_module(f".{home}", module["__package__"])
    module[name] = getattr(found, name)
    return module[name]
