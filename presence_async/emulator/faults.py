"""Faults as data: what goes wrong, when, and how often. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any, Literal

import attrs
import msgspec

from ..errors import InvalidArgumentError
from ..protocol.json_codec import JsonError, decode_object
from . import checks
from .router import OPERATION_NAMES

__all__ = ["Fault", "Faults", "short_value"]

_NEVER = "inf"
_MOMENTS = ("before_effect", "after_effect")
_SHORT_FORM = "write JSON, or OPERATION:STATUS:NAME=VALUE such as heartbeat:503:for_s=9"


def _spaced(operation: str | None) -> str | None:
    """Take ``here-now`` and ``here_now`` for ``here now``."""
    if not isinstance(operation, str):
        return operation
    return operation.replace("-", " ").replace("_", " ")


@attrs.frozen(kw_only=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        operation: Which operation it hits, by its name such as ``"heartbeat"`` or
            ``"here now"`` (also ``here-now``); ``None``: every request.
        status: Answer with this HTTP status instead, 200 to 599; ``None``: as usual.
        retry_after_s: Sent as ``Retry-After`` beside a status or body.
        body: Answer with this body instead; with status 200 unless one is given.
        age_s: Sent as ``Age`` beside a status or body, as if a cache had answered.
        delay_s: Wait so long; ``math.inf`` never answers.
        cut: Cut the connection instead of answering.
        at: Whether delay, status and cut strike before the request takes effect or
            after. Before, a status, body or cut means that it has none; a delay only
            puts it off, also when the client has hung up meanwhile.
        times: How many requests it hits, 1 or more; ``None``: any number.
        for_s: How long it lasts from its injection; ``None``: until ``reset``.
        probability: The share of matching requests it hits, 0 to 1.
        seed: Makes the share the same in each run.

    Raises:
        InvalidArgumentError: A field is out of its range, or nothing would go wrong.
    """

    operation: str | None = attrs.field(default=None, converter=_spaced)
    status: int | None = None
    retry_after_s: int | None = None
    body: bytes | None = None
    age_s: int | None = None
    delay_s: float = 0.0
    cut: bool = False
    at: Literal["before_effect", "after_effect"] = "before_effect"
    times: int | None = None
    for_s: float | None = None
    probability: float = 1.0
    seed: int = 0

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be meant."""
        names = sorted(OPERATION_NAMES)
        if self.operation not in (None, *names):
            raise InvalidArgumentError(
                "operation",
                f"{self.operation!r} is none; write None or one of: {', '.join(names)}",
            )
        checks.whole("status", self.status, 200, 599)
        checks.whole("retry_after_s", self.retry_after_s, 0)
        checks.whole("age_s", self.age_s, 0)
        checks.whole("times", self.times, 1)
        checks.seconds("delay_s", self.delay_s, may_be_endless=True)
        checks.positive("for_s", self.for_s)
        checks.share("probability", self.probability)
        checks.flag("cut", self.cut)
        if self.body is not None and not isinstance(self.body, bytes):
            raise InvalidArgumentError("body", "must be bytes, or None")
        if self.at not in _MOMENTS:
            raise InvalidArgumentError(
                "at", f"must be {' or '.join(map(repr, _MOMENTS))}"
            )
        checks.whole("seed", self.seed)
        if not self.replaces_answer and not self.delay_s:
            raise InvalidArgumentError(
                "fault", "changes nothing; give it a status, body, delay_s or cut"
            )

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Fault:
        """Read one from JSON: the attributes by their names.

        ``body`` is text there, and ``delay_s`` is ``"inf"`` or ``null`` for never.

        Raises:
            InvalidArgumentError: A field is unknown or out of its range.
        """
        checks.known("fault", fields, cls)
        read = dict(fields)
        if isinstance(read.get("body"), str):
            read["body"] = read["body"].encode()
        if "delay_s" in read and read["delay_s"] in (None, _NEVER):
            read["delay_s"] = math.inf
        return cls(**read)

    @classmethod
    def from_text(cls, text: str) -> Fault:
        """Read one from JSON, or from the short ``heartbeat:503:for_s=10``.

        In the short form ``*`` is every operation, and the status may be left out
        where a body, delay or cut says what goes wrong.

        Raises:
            InvalidArgumentError: It is neither, or a field is out of its range.
        """
        try:
            fields: Mapping[str, object] = decode_object(text.encode())
        except (JsonError, UnicodeEncodeError):
            fields = _short_form(text)
        return cls.from_dict(fields)

    def to_dict(self) -> dict[str, object]:
        """Return what ``from_dict`` reads, without what is as by default."""
        said: dict[str, object] = {
            field.name: getattr(self, field.name)
            for field in attrs.fields(type(self))
            if getattr(self, field.name) != field.default
        }
        if self.body is not None:
            said["body"] = self.body.decode(errors="replace")
        if self.delay_s == math.inf:
            said["delay_s"] = _NEVER
        return said

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
        raise InvalidArgumentError("fault", f"is no JSON object; {_SHORT_FORM}")
    operation, *parts = text.split(":")
    fields: dict[str, object] = {} if operation == "*" else {"operation": operation}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals:
            name, value = "status", part
        fields[name.strip()] = short_value(value.strip())
    return fields


def short_value(text: str) -> object:
    """Read a field of the short form: JSON where it is, else the text itself."""
    try:
        value: object = msgspec.json.decode(text.encode())
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return text
    return value


@attrs.define(eq=False)
class _Active:
    fault: Fault
    subscribe_key: str | None
    until_s: float
    left: float
    random: random.Random


class Faults:
    """The faults in force; the one injected last is asked first."""

    def __init__(self) -> None:
        self._active: list[_Active] = []

    def inject(
        self, fault: Fault, *, now_s: float, subscribe_key: str | None = None
    ) -> None:
        """Put a fault in force, for one subscribe key or for all."""
        self._active.insert(
            0,
            _Active(
                fault,
                subscribe_key,
                math.inf if fault.for_s is None else now_s + fault.for_s,
                math.inf if fault.times is None else fault.times,
                random.Random(fault.seed),  # noqa: S311  # repeatable, guards nothing
            ),
        )

    def clear(self) -> None:
        """Lift every fault."""
        self._active.clear()

    def in_force(self, *, now_s: float) -> tuple[Fault, ...]:
        """Return those that may still strike, the one asked first first."""
        self._active = [a for a in self._active if a.left > 0 and now_s < a.until_s]
        return tuple([active.fault for active in self._active])

    def strike(
        self, operation: str, subscribe_key: str = "", *, now_s: float
    ) -> Fault | None:
        """Return the fault that hits this request, and count it.

        Args:
            operation: Its name; ``""`` for a request that is none.
            subscribe_key: Its key; ``""`` for one that has none, such as ``/time/0``.
            now_s: The time, on the clock of ``inject``.
        """
        self.in_force(now_s=now_s)
        for active in self._active:
            fault = active.fault
            if fault.operation not in {None, operation}:
                continue
            if subscribe_key and active.subscribe_key not in {None, subscribe_key}:
                continue
            if active.random.random() < fault.probability:
                active.left -= 1
                return fault
        return None
