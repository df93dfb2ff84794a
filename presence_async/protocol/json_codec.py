"""Strict JSON: encode exactly JSON, and raise one error for anything undecodable.

msgspec leaves gaps that are closed here. Encoding turns nan, datetimes, bytes and sets
into other things; decoding raises ``RecursionError`` for depth, ``UnicodeDecodeError``
for bad text, and lets one hostile value spoil a whole document.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from ..errors import InvalidArgumentError

__all__ = [
    "MAX_STATE_DEPTH",
    "UNDECODABLE_ERRORS",
    "Json",
    "JsonError",
    "decode",
    "decode_object",
    "decode_objects",
    "decode_strictly",
    "encode_state",
    "plain_state",
]

if TYPE_CHECKING:
    Json: TypeAlias = (
        bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None
    )
else:
    # Read at run time, as by typing.get_type_hints and msgspec, an alias must not name
    # itself: other modules that use it would have to know the name, too.
    Json = bool | int | float | str | Sequence[Any] | Mapping[str, Any] | None
WireT = TypeVar("WireT")

MAX_STATE_DEPTH = 100
"""The most levels of nesting in a state."""

_MAX_REPLY_DEPTH = 500
_MAX_INT_BITS = 4096
_UNDECODABLE = b"1e999"
_CLOSING = (b"}", b"]")
# Possessive and with the closing quote left open, so that hostile text is read once.
_STRING = rb'"(?:[^"\\]++|\\.)*+"?'
_VALUES = re.compile(_STRING + rb"|-?Infinity|NaN", re.DOTALL)
_NESTING = re.compile(_STRING + rb"|[\[{]++|[\]}]++", re.DOTALL)
_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\.",
    re.DOTALL,
)
_OBJECTS: msgspec.json.Decoder[list[dict[str, Json]]] = msgspec.json.Decoder(
    list[dict[str, Any]]
)
UNDECODABLE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The errors that a decoder of msgspec may raise."""
_OBJECT: msgspec.json.Decoder[dict[str, Json]] = msgspec.json.Decoder(dict[str, Any])


class JsonError(ValueError):
    """A text is not the expected JSON; gives the reason, never the text."""


def decode(text: bytes, decoder: msgspec.json.Decoder[WireT]) -> WireT:
    """Decode a document into a wire class.

    Values that the wire class keeps raw (``msgspec.Raw``) may be anything: one that
    cannot be decoded spoils only itself, not the document.

    Raises:
        JsonError: Not JSON, not UTF-8, nested too deeply, or not of the class.
    """
    try:
        return decode_strictly(text, decoder)
    except JsonError as error:
        failure = error
    if text.rstrip()[-1:] not in _CLOSING:
        raise failure
    for mended in (_defused, _flattened):
        text = mended(text)
        with contextlib.suppress(JsonError):
            return decode_strictly(text, decoder)
    raise failure


def decode_strictly(text: bytes, decoder: msgspec.json.Decoder[WireT]) -> WireT:
    """Decode a document every part of which must be valid.

    Raises:
        JsonError: As ``decode``, and for any undecodable value.
    """
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        reason = str(error) or "not JSON"
    except RecursionError:
        reason = "nested too deeply"
    raise JsonError(reason)


def decode_object(text: bytes) -> dict[str, Json]:
    """Decode one JSON object, such as a state.

    Raises:
        JsonError: Not a JSON object, or a value in it is not JSON.
    """
    return decode_strictly(text, _OBJECT)


def decode_objects(text: bytes) -> list[dict[str, Json]]:
    """Decode a JSON array of objects.

    Raises:
        JsonError: Not such an array, or a value in it is not JSON.
    """
    return decode_strictly(text, _OBJECTS)


def plain_state(state: object, argument: str = "state") -> dict[str, Json]:
    """Check that a state is exactly a JSON object and copy it deeply.

    Args:
        state: A mapping of ``str`` to JSON values, at most 100 levels deep.
        argument: The name of the caller's argument, for the error.

    Raises:
        InvalidArgumentError: It contains anything else; names the path to it.
    """
    if not isinstance(state, Mapping):
        raise InvalidArgumentError(
            argument, f"must be a JSON object (a dict), not {type(state).__name__}"
        )
    return _plain_object(state, argument, argument, 1)


def encode_state(state: Mapping[str, Json]) -> str:
    """Encode a state that ``plain_state`` returned, compactly."""
    return msgspec.json.encode(state).decode()


def _defused(text: bytes) -> bytes:
    """Replace values that the decoder rejects by a number out of range.

    That number passes where a value is kept raw and fails where it is read, so lone
    surrogates and nan harm nothing around them.
    """
    parts: list[bytes] = []
    position = 0
    for token in _VALUES.finditer(text):
        word = token.group()
        if _is_undecodable(word):
            parts += [text[position : token.start()], _replacement(word[:1])]
            position = token.end()
    return b"".join([*parts, text[position:]])


def _flattened(text: bytes) -> bytes:
    """Replace values that are nested too deeply by a number out of range."""
    parts: list[bytes] = []
    position = depth = 0
    for token in _NESTING.finditer(text):
        run = token.group()
        if run[:1] == b'"':
            continue
        if run[:1] in b"[{":
            if depth < _MAX_REPLY_DEPTH <= depth + len(run):
                skipped_from = token.start() + _MAX_REPLY_DEPTH - 1 - depth
                parts += [text[position:skipped_from], _UNDECODABLE]
            depth += len(run)
        else:
            if depth >= _MAX_REPLY_DEPTH > depth - len(run):
                position = token.start() + depth - _MAX_REPLY_DEPTH + 1
            depth -= len(run)
    if depth >= _MAX_REPLY_DEPTH:
        return text
    return b"".join([*parts, text[position:]])


def _is_undecodable(token: bytes) -> bool:
    if not token.startswith(b'"'):
        return True
    return b"\\u" in token and any(
        len(escape) == len(b"\\ud800") for escape in _ESCAPES.findall(token)
    )


def _replacement(mark: bytes) -> bytes:
    return b'"\xff"' if mark == b'"' else _UNDECODABLE


def _plain(value: object, argument: str, path: str, depth: int) -> Json:
    if depth > MAX_STATE_DEPTH:
        raise InvalidArgumentError(
            argument,
            f"nests deeper than {MAX_STATE_DEPTH} levels, or contains itself;"
            " write a flatter object",
        )
    if isinstance(value, str):
        return _plain_text(value, argument, path)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _plain_int(value, argument, path)
    if isinstance(value, float):
        return _plain_float(value, argument, path)
    if isinstance(value, (list, tuple)):
        return [
            _plain(item, argument, f"{path}[{index}]", depth + 1)
            for index, item in enumerate(value)
        ]
    if isinstance(value, Mapping):
        return _plain_object(value, argument, path, depth)
    raise InvalidArgumentError(
        argument,
        f"{path} is a {type(value).__name__}, which JSON cannot express;"
        " write a str, number, bool, None, list or dict",
    )


def _plain_object(
    value: Mapping[object, object], argument: str, path: str, depth: int
) -> dict[str, Json]:
    plain: dict[str, Json] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise InvalidArgumentError(
                argument,
                f"{path} has a key of type {type(key).__name__}; write a str",
            )
        name = _plain_text(key, argument, path)
        plain[name] = _plain(item, argument, f"{path}[{name!r}]", depth + 1)
    return plain


def _plain_int(value: int, argument: str, path: str) -> int:
    if value.bit_length() > _MAX_INT_BITS:
        raise InvalidArgumentError(
            argument, f"{path} is an int of over 1,000 digits; write it as a str"
        )
    return int(value)


def _plain_float(value: float, argument: str, path: str) -> float:
    if not math.isfinite(value):
        raise InvalidArgumentError(
            argument, f"{path} is {value}, which JSON cannot express; write None"
        )
    return float(value)


def _plain_text(value: str, argument: str, path: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidArgumentError(
            argument, f"{path} contains a lone surrogate; write valid Unicode"
        )
    # Not str(value): of an enum that is the name of the member.
    return str.__str__(value)
