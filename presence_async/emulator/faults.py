"""Faults as data: what goes wrong, when, and how often. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import attrs
import msgspec

from ..checks import flag, known_fields, number, validator, whole_number
from ..errors import InvalidArgumentError
from ..protocol.json_codec import JsonError, decode_object
from .active_faults import ActiveFaults
from .router import OPERATION_NAMES

__all__ = ["Fault", "Faults", "short_value"]

_NEVER = "inf"
_MOMENTS = ("before_effect", "after_effect")
_SHORT_FORM = "write JSON, or OPERATION:STATUS:NAME=VALUE such as heartbeat:503:for_s=9"

_optional = attrs.validators.optional
_count = validator(whole_number, least=0)


def _spaced(operation: str | None) -> str | None:
    """Return ``here now`` for ``here-now`` and ``here_now``."""
    if not isinstance(operation, str):
        return operation
    return operation.replace("-", " ").replace("_", " ")


@attrs.frozen(kw_only=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        operation: The operation that it hits, by its name such as ``"heartbeat"`` or
            ``"here now"`` (also ``here-now``); ``None``: every request.
        status: The HTTP status to answer instead, 200 to 599; ``None``: as usual.
        retry_after_s: Sent as ``Retry-After`` beside a status or body.
        body: The body to answer instead; with status 200 unless one is given.
        age_s: Sent as ``Age`` beside a status or body, as if a cache had answered.
        delay_s: Seconds to wait first; ``math.inf``: never answer.
        cut: Whether to cut the connection instead of answering.
        at: Whether delay, status and cut strike before the request takes effect or
            after. Before, a status, body or cut prevents the effect; a delay only
            postpones it, even if the client hangs up meanwhile.
        times: The number of requests that it hits, 1 or more; ``None``: any number.
        for_s: Seconds that it lasts from its injection; ``None``: until ``reset``.
        probability: The share of matching requests that it hits, 0 to 1.
        seed: Makes the share the same in each run.

    Raises:
        InvalidArgumentError: A field is out of its range, or nothing would go wrong.
    """

    operation: str | None = attrs.field(default=None, converter=_spaced)
    status: int | None = attrs.field(
        default=None, validator=_optional(validator(whole_number, least=200, most=599))
    )
    retry_after_s: int | None = attrs.field(default=None, validator=_optional(_count))
    body: bytes | None = None
    age_s: int | None = attrs.field(default=None, validator=_optional(_count))
    delay_s: float = attrs.field(
        default=0.0, validator=validator(number, least=0, may_be_infinite=True)
    )
    cut: bool = attrs.field(default=False, validator=validator(flag))
    at: Literal["before_effect", "after_effect"] = "before_effect"
    times: int | None = attrs.field(
        default=None, validator=_optional(validator(whole_number, least=1))
    )
    for_s: float | None = attrs.field(
        default=None, validator=_optional(validator(number, above=0))
    )
    probability: float = attrs.field(
        default=1.0, validator=validator(number, least=0, most=1)
    )
    seed: int = attrs.field(default=0, validator=validator(whole_number))

    def __attrs_post_init__(self) -> None:
        """Reject unknown names, and a fault without consequence."""
        names = sorted(OPERATION_NAMES)
        if self.operation not in (None, *names):
            raise InvalidArgumentError(
                "operation",
                f"unknown operation {self.operation!r};"
                f" use None or one of: {', '.join(names)}",
            )
        if self.body is not None and not isinstance(self.body, bytes):
            raise InvalidArgumentError("body", "must be bytes, or None")
        if self.at not in _MOMENTS:
            raise InvalidArgumentError(
                "at", f"must be {' or '.join(map(repr, _MOMENTS))}"
            )
        if not self.replaces_answer and not self.delay_s:
            raise InvalidArgumentError(
                "fault", "changes nothing; give it a status, body, delay_s or cut"
            )

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Fault:
        """Return the fault that JSON describes: the attributes by their names.

        There ``body`` is text, and a ``delay_s`` of ``"inf"`` or ``null`` never ends.

        Raises:
            InvalidArgumentError: A field is unknown or out of its range.
        """
        known_fields(fields, cls, "fault")
        settings = dict(fields)
        if isinstance(settings.get("body"), str):
            settings["body"] = settings["body"].encode()
        if "delay_s" in settings and settings["delay_s"] in (None, _NEVER):
            settings["delay_s"] = math.inf
        return cls(**settings)

    @classmethod
    def from_text(cls, text: str) -> Fault:
        """Return the fault that JSON or the short ``heartbeat:503:for_s=10`` describes.

        In the short form ``*`` is every operation, and the status may be left out
        if a body, delay or cut says what goes wrong.

        Raises:
            InvalidArgumentError: The text has neither form, or a field is out of its
                range.
        """
        try:
            fields: Mapping[str, object] = decode_object(text.encode())
        except (JsonError, UnicodeEncodeError):
            fields = _short_form(text)
        return cls.from_dict(fields)

    def to_dict(self) -> dict[str, object]:
        """Return the fields for ``from_dict``, without defaults."""
        fields: dict[str, object] = {
            field.name: getattr(self, field.name)
            for field in attrs.fields(type(self))
            if getattr(self, field.name) != field.default
        }
        if self.body is not None:
            fields["body"] = self.body.decode(errors="replace")
        if self.delay_s == math.inf:
            fields["delay_s"] = _NEVER
        return fields

    @property
    def replaces_answer(self) -> bool:
        """Whether the client gets another answer, or none."""
        return self.cut or self.status is not None or self.body is not None

    @property
    def prevents_effect(self) -> bool:
        """Whether the request changes nothing."""
        return self.at == "before_effect" and self.replaces_answer


def _short_form(text: str) -> dict[str, object]:
    if text.startswith("{"):
        raise InvalidArgumentError("fault", f"is not a JSON object; {_SHORT_FORM}")
    operation, *parts = text.split(":")
    fields: dict[str, object] = {} if operation == "*" else {"operation": operation}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals:
            name, value = "status", part
        fields[name.strip()] = short_value(value.strip())
    return fields


def short_value(text: str) -> object:
    """Return a field of the short form: the JSON value, or else the text."""
    try:
        value: object = msgspec.json.decode(text.encode())
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return text
    return value


class Faults(ActiveFaults[Fault]):
    """The faults of requests in force."""

    def _most_hits(self, fault: Fault) -> float:
        return math.inf if fault.times is None else fault.times

    def strike(
        self, operation: str, subscribe_key: str = "", *, now_s: float
    ) -> Fault | None:
        """Return the newest fault that hits a request, and count it.

        Args:
            operation: The operation's name; ``""`` for an unknown path.
            subscribe_key: Its key; ``""`` for requests without one, as ``/time/0``.
            now_s: The time, on the clock of ``inject``.
        """
        for active in self.active(now_s=now_s):
            fault = active.fault
            if fault.operation not in {None, operation}:
                continue
            if subscribe_key and active.subscribe_key not in {None, subscribe_key}:
                continue
            if active.random.random() < fault.probability:
                active.left -= 1
                active.hits += 1
                return fault
        return None
