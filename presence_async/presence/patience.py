"""Whether an order that failed is tried again, and when."""

from __future__ import annotations

import math
import random

import attrs

from ..errors import DeadlineError, RequestError
from .claims import Order
from .pace import hold_s, retry_gap_s
from .wire import Failed

__all__ = ["LEAVE_PACE_S", "NO_RETRY", "NoRetry", "is_blocking", "overdue", "retry_s"]

LEAVE_PACE_S = 5.0
"""Seconds between attempts of a leave whose caller has been told of its failure."""

_ALREADY_LOST = 0.0


@attrs.frozen
class NoRetry:
    """One attempt, whatever happens."""

    def delay_s(self, failures: int, rng: random.Random) -> float | None:  # noqa: ARG002  # the shape of a policy
        """Give up."""
        return None


NO_RETRY = NoRetry()


def retry_s(
    order: Order,
    failed: Failed,
    now_s: float,
    *,
    attempt_timeout_s: float,
    rng: random.Random,
) -> float | None:
    """Return when to try an order again, or ``None`` to give up.

    A join without a deadline goes on at the pace of heartbeats that failed; anything
    else follows its caller's policy, within its caller's time.
    """
    patience, asked_s = order.patience, failed.retry_after_s
    if order.is_endless_join:
        pause_s = retry_gap_s(_ALREADY_LOST, rng)
        if asked_s is not None:
            held_s = hold_s(asked_s, _ALREADY_LOST, attempt_timeout_s)
            pause_s = max(pause_s, held_s)
        return now_s + pause_s
    if not failed.error.is_retryable:
        return None
    delay_s = patience.retry.delay_s(order.failures, rng)
    if delay_s is None:
        return None
    due_s = now_s + delay_s + (asked_s or 0.0)
    return due_s if due_s < patience.deadline_s else None


def is_blocking(order: Order, now_s: float) -> bool:
    """Return True if later orders of the user wait for this one though it waits itself.

    Between two attempts of one call they do, or an older state could overwrite a newer
    one, and a heartbeat undo a leave. Joins without a deadline, leaves that linger or
    failed before, and patches that still gather do not hold anything back.
    """
    if order.not_before_s <= now_s or order.is_overdue:
        return False
    return order.has_begun and not order.is_endless_join


def overdue(order: Order, cause: str) -> DeadlineError:
    """Return the error of an order whose caller's time is up.

    Args:
        order: The order.
        cause: What it was waiting for, unless an attempt has failed before.
    """
    patience = order.caller or order.patience
    total_s = patience.deadline_s - patience.started_s
    before = order.error if isinstance(order.error, RequestError) else None
    if before is not None:
        cause = f"the attempt before: {before.cause or before.problem}"
    return DeadlineError(
        f"it took longer than {total_s:g} s",
        operation=order.name,
        attempts=order.attempts,
        elapsed_s=total_s if total_s < math.inf else 0.0,
        last_failure=before,
        cause=cause,
    )
