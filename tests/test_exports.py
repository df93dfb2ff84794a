"""The lazy names of a package are those that type checkers see."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

import pytest

import presence_async
from presence_async import emulator, testing
from presence_async.client import on_demand

PACKAGES = [presence_async, testing, emulator, on_demand]


def typed_homes(package: ModuleType) -> dict[str, str]:
    """Return where the imports for type checkers find each name."""
    assert package.__file__ is not None
    is_relative = package is on_demand  # its names are at home in several packages
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    return {
        alias.name: "." * node.level * is_relative + str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_type_checkers_and_python_find_names_in_the_same_modules(
    package: ModuleType,
) -> None:
    assert typed_homes(package) == package._HOMES
    assert package.__all__ == sorted(package._HOMES)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_names_are_listed_in_order(package: ModuleType) -> None:
    assert list(package._HOMES) == sorted(package._HOMES)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_listed_name_exists(package: ModuleType) -> None:
    for name in package.__all__:
        assert getattr(package, name) is not None
        assert package is on_demand or name in dir(package)
