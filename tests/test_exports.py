"""The lazy names of a package are those that type checkers see."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

import pytest

import presence_async
from presence_async import testing

PACKAGES = [presence_async, testing]


def typed_homes(package: ModuleType) -> dict[str, str]:
    """Return where the imports for type checkers find each name."""
    assert package.__file__ is not None
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    return {
        alias.name: str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1
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
        assert name in dir(package)
