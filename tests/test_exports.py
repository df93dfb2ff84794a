"""The lazy names of a package are those that type checkers see."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

import pytest

import presence_async
from presence_async import emulator, register, testing
from presence_async.client import on_demand

PACKAGES = [presence_async, testing, emulator, register, on_demand]


def typed_homes(package: ModuleType) -> dict[str, str]:
    """Return where the imports for type checkers find each name."""
    assert package.__file__ is not None
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    (typed,) = (node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.name: "." * (node.level - 1) + str(node.module)
        for node in typed.body
        if isinstance(node, ast.ImportFrom)
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


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_a_name_is_looked_for_only_once(package: ModuleType) -> None:
    name = package.__all__[0]

    assert getattr(package, name) is vars(package)[name]
    assert len(dir(package)) == len(set(dir(package)))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_a_name_that_is_not_listed_is_an_attribute_error(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"'{package.__name__}'.*'Nonsense'"):
        getattr(package, "Nonsense")  # noqa: B009  # what type checkers refuse
