"""Names that a module offers and that are imported when they are first used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["on_first_use"]


def on_first_use(
    module: dict[str, Any], homes: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and ``__dir__`` of a module.

    Args:
        module: Its ``globals()``, where a name stays once it was used.
        homes: For each name its home: what stands after ``from .``.
    """

    def find(name: str) -> object:
        home = homes.get(name)
        if home is None:
            message = f"module {module['__name__']!r} has no attribute {name!r}"
            raise AttributeError(message)
        found = importlib.import_module(f".{home}", module["__package__"])
        module[name] = getattr(found, name)
        return module[name]

    def names() -> list[str]:
        return sorted({*module, *homes})

    return find, names
