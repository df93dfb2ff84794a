"""Filter expressions of a subscribe: which messages reach it. Pure.

Source: https://www.pubnub.com/docs/general/channels/subscribe-filters (read 2026-11):
``data.x`` and ``meta.x``, the operators, ``LIKE`` with its ``*`` in any case, and that
a field which does not exist matches nothing. A bare name reads the metadata, as in old
tutorials (``uuid != 'bob'``). Unverified: that ``CONTAINS`` minds the case, that both
look into lists, that ``true`` is the text ``"true"``, and that text never equals a
number. ``in``, known from old SDK tests, is refused by name.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import attrs

from ..errors import InvalidArgumentError

__all__ = ["StreamFilter"]

_MOST_TOKENS = 300
_DEEPEST = 50
_LONGEST_INDEX = 9
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>\d+(?:\.\d+)?)
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
      | (?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%<>!()\[\]])
    )\s*""",
    re.VERBOSE,
)

_STAR = re.compile(r"(?<!\\)\*")

Value = Any
"""A JSON value; ``None`` for a field that does not exist."""

_Part = Callable[[Mapping[str, Value]], Value]
_Token = tuple[str, str]


def _equals(left: Value, right: Value) -> bool:
    return type(left) is type(right) and bool(left == right)


def _ordered(compare: Callable[[Value, Value], Value]) -> Callable[..., Value]:
    """Return an operator of two numbers, which has no result for anything else."""

    def apply(left: Value, right: Value) -> Value:
        if not isinstance(left, float) or not isinstance(right, float):
            return None
        try:
            return compare(left, right)
        except (ZeroDivisionError, OverflowError):
            return None

    return apply


def _like(value: Value, pattern: Value) -> bool:
    if isinstance(value, list):
        return any(_like(_plain(item), pattern) for item in value)
    if not isinstance(value, str) or not isinstance(pattern, str):
        return False
    return _matches(value.casefold(), pattern.casefold())


def _matches(text: str, pattern: str) -> bool:
    """Return True if a text has the parts of a pattern in order; takes linear time."""
    parts = [part.replace("\\*", "*") for part in _STAR.split(pattern)]
    first, *middle = parts[:-1] or [""]
    last = parts[-1]
    if len(parts) == 1:
        return text == last
    if not text.startswith(first):
        return False
    start = len(first)
    for part in middle:
        found = text.find(part, start)
        if found < 0:
            return False
        start = found + len(part)
    return text.endswith(last) and len(text) - len(last) >= start


def _contains(value: Value, part: Value) -> bool:
    if isinstance(value, list):
        return any(_equals(_plain(item), part) for item in value)
    return isinstance(value, str) and isinstance(part, str) and part in value


_Operator = Callable[[Value, Value], Value]
# From the loosest to the tightest.
_LEVELS: tuple[Mapping[str, _Operator], ...] = (
    {"||": lambda left, right: bool(left) or bool(right)},
    {"&&": lambda left, right: bool(left) and bool(right)},
    {
        "==": _equals,
        "!=": lambda left, right: not _equals(left, right),
        "<": _ordered(operator.lt),
        ">": _ordered(operator.gt),
        "<=": _ordered(operator.le),
        ">=": _ordered(operator.ge),
        "LIKE": _like,
        "CONTAINS": _contains,
    },
    {"+": _ordered(operator.add), "-": _ordered(operator.sub)},
    {
        "*": _ordered(operator.mul),
        "/": _ordered(operator.truediv),
        "%": _ordered(operator.mod),
    },
)
_LOGIC = frozenset({"||", "&&"})
_UNSUPPORTED = frozenset({"IN"})


@attrs.frozen
class StreamFilter:
    """A filter expression."""

    _expression: _Part

    @classmethod
    def parse(cls, text: str) -> StreamFilter:
        """Return the filter that an expression describes.

        Raises:
            InvalidArgumentError: It is malformed, or uses what is not supported.
        """
        return _parsed(text)

    def passes(self, *, meta: Value, data: Value) -> bool:
        """Return True if a message with this metadata and payload is delivered."""
        return bool(self._expression({"meta": meta, "data": data}))


@lru_cache(maxsize=256)
def _parsed(text: str) -> StreamFilter:
    parser = _Parser(_tokens(text))
    expression = parser.level(0)
    if parser.tokens:
        raise _malformed(f"does not end before {parser.tokens[-1][1]!r}")
    return StreamFilter(expression)


def _tokens(text: str) -> list[_Token]:
    """Return the tokens, last first."""
    tokens: list[_Token] = []
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise _malformed(f"cannot be read at {text[position : position + 20]!r}")
        kind = str(found.lastgroup)
        tokens.append((kind, found[kind]))
        position = found.end()
    if len(tokens) > _MOST_TOKENS:
        raise _malformed(f"has more than {_MOST_TOKENS} parts")
    tokens.reverse()
    return tokens


@attrs.define
class _Parser:
    tokens: list[_Token]
    depth: int = 0

    def level(self, number: int) -> _Part:
        """Parse operators of a level and all tighter ones."""
        if number == len(_LEVELS):
            return self.unary()
        operators = _LEVELS[number]
        left = self.level(number + 1)
        while (name := self.upcoming()) in operators:
            self.tokens.pop()
            left = _applied(name, operators[name], left, self.level(number + 1))
        return left

    def upcoming(self) -> str:
        """Return the operator that comes next, ``""`` for none."""
        kind, text = self.tokens[-1] if self.tokens else ("", "")
        name = text.upper()
        if kind == "name" and name in _UNSUPPORTED:
            raise _malformed(f"uses {text!r}, which the emulator does not support")
        return name if kind in {"sign", "name"} else ""

    def unary(self) -> _Part:
        kind, text = self.next()
        if (kind, text) == ("sign", "!"):
            part = self.unary()
            return lambda message: not part(message)
        if (kind, text) == ("sign", "-"):
            part = self.unary()
            return lambda message: _LEVELS[3]["-"](0.0, part(message))
        if (kind, text) == ("sign", "("):
            return self.group()
        if kind == "name":
            return self.field(text)
        if kind == "sign":
            raise _malformed(f"has {text!r} where a value is expected")
        constant = float(text) if kind == "number" else _unquoted(text)
        return lambda _: constant

    def group(self) -> _Part:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _malformed(f"nests deeper than {_DEEPEST} levels")
        part = self.level(0)
        self.expect(")")
        self.depth -= 1
        return part

    def field(self, name: str) -> _Part:
        """Parse ``meta.x``, ``data.x`` or ``x``, with any ``[0]`` or ``["key"]``."""
        source, *keys = name.split(".")
        if source not in {"meta", "data"}:
            source, keys = "meta", [source, *keys]
        path: list[str | int] = list(keys)
        while self.tokens and self.tokens[-1] == ("sign", "["):
            self.tokens.pop()
            kind, text = self.next()
            is_whole = kind == "number" and len(text) <= _LONGEST_INDEX
            if kind != "text" and (not is_whole or "." in text):
                raise _malformed(f"has {text[:20]!r} where an index is expected")
            path.append(int(text) if kind == "number" else _unquoted(text))
            self.expect("]")
        if not path:
            raise _malformed(f"names no field of {source!r}")
        return lambda message: _found(message[source], path)

    def next(self) -> _Token:
        if not self.tokens:
            raise _malformed("ends too early")
        return self.tokens.pop()

    def expect(self, sign: str) -> None:
        if self.next() != ("sign", sign):
            raise _malformed(f"misses a {sign!r}")


def _applied(name: str, apply: _Operator, left: _Part, right: _Part) -> _Part:
    def evaluate(message: Mapping[str, Value]) -> Value:
        values = left(message), right(message)
        if None in values and name not in _LOGIC:
            return None
        return apply(*values)

    return evaluate


def _found(value: Value, path: list[str | int]) -> Value:
    for key in path:
        if isinstance(value, Mapping) and isinstance(key, str):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return _plain(value)


def _plain(value: Value) -> Value:
    """Return a value as operators compare it: every number a float, no booleans."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, (int, float)):
        return value
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _unquoted(text: str) -> str:
    # ``\*`` keeps its backslash, which means something to LIKE.
    return re.sub(r"\\([^*])", r"\1", text[1:-1])


def _malformed(rule: str) -> InvalidArgumentError:
    return InvalidArgumentError("filter-expr", rule)
