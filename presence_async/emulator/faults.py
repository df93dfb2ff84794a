"""Faults as data: what goes wrong, when, and how often. Pure."""

from __future__ import annotations

import math
import random
from typing import Literal

import attrs

from ..errors import InvalidArgumentError

__all__ = ["Fault", "Faults"]


@attrs.frozen(kw_only=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        operation: Which operation it hits, by its name such as ``"heartbeat"``;
            ``None``: every request.
        status: Answer with this HTTP status instead; ``None``: as usual.
        retry_after_s: Sent as ``Retry-After`` beside a status.
        body: Answer with this body instead; with status 200 unless one is given.
        age_s: Sent as ``Age``, as if a cache had answered.
        delay_s: Wait so long; ``math.inf`` never answers.
        cut: Cut the connection instead of answering.
        at: Whether delay, status and cut strike before the request takes effect or
            after. Before, a status, body or cut means that it has none; a delay only
            puts it off, also when the client has hung up meanwhile.
        times: How many requests it hits; ``None``: any number.
        for_s: How long it lasts from its injection; ``None``: until ``reset``.
        probability: The share of matching requests it hits.
        seed: Makes the share the same in each run.
    """

    operation: str | None = None
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
        if self.delay_s < 0 or math.isnan(self.delay_s):
            raise InvalidArgumentError("delay_s", "must be 0 or more seconds")
        if not 0 <= self.probability <= 1:
            raise InvalidArgumentError("probability", "must be from 0 to 1")
        if self.at not in {"before_effect", "after_effect"}:
            raise InvalidArgumentError(
                "at", "must be 'before_effect' or 'after_effect'"
            )

    @property
    def replaces_answer(self) -> bool:
        """Whether the client gets another answer, or none."""
        return self.cut or self.status is not None or self.body is not None

    @property
    def prevents_effect(self) -> bool:
        """Whether the request changes nothing."""
        return self.at == "before_effect" and self.replaces_answer


@attrs.define(eq=False)
class _Active:
    fault: Fault
    until_s: float
    left: float
    random: random.Random


class Faults:
    """The faults in force; the one injected last is asked first."""

    def __init__(self) -> None:
        self._active: list[_Active] = []

    def inject(self, fault: Fault, *, now_s: float) -> None:
        """Put a fault in force."""
        self._active.insert(
            0,
            _Active(
                fault,
                math.inf if fault.for_s is None else now_s + fault.for_s,
                math.inf if fault.times is None else fault.times,
                random.Random(fault.seed),  # noqa: S311  # repeatable, guards nothing
            ),
        )

    def clear(self) -> None:
        """Lift every fault."""
        self._active.clear()

    def strike(self, operation: str, *, now_s: float) -> Fault | None:
        """Return the fault that hits this request, and count it."""
        self._active = [a for a in self._active if a.left > 0 and now_s < a.until_s]
        for active in self._active:
            fault = active.fault
            if fault.operation not in {None, operation}:
                continue
            if active.random.random() < fault.probability:
                active.left -= 1
                return fault
        return None
