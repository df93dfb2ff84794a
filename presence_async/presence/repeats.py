"""What is said twice: answers out of a cache, and whatever a doubt may undo."""

from __future__ import annotations

from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.leave import LeaveOperation
from . import leaving
from .claims import Params, Patience
from .doubt import Doubts
from .names import channels_of, groups_of, names_of
from .patience import NO_RETRY
from .user import UserTable
from .wire import Acknowledged, Outcome, Purpose, Refused, Send

__all__ = ["confirm", "confirmation", "next_send", "note"]


def confirm(user: UserTable, send: Send, outcome: Outcome) -> bool:
    """Ask once more if the answer came out of a cache: it acknowledges nothing."""
    is_cached = isinstance(outcome, Acknowledged) and outcome.age_s > 0
    if not is_cached or send.is_confirming:
        return False
    user.confirming = send.confirming(send.taken_s, send.patience)
    return True


def confirmation(user: UserTable, now_s: float) -> Send | None:
    """Return the request to ask once more, unless its caller waits no longer."""
    send, user.confirming = user.confirming, None
    if send is None:
        return None
    if send.order is None:
        return send.confirming(now_s, _patience(user, now_s))
    is_over = send.order.is_done or send.deadline_s <= now_s
    return None if is_over else send.confirming(now_s, send.patience)


def note(user: UserTable, send: Send, outcome: Outcome, now_s: float) -> None:
    """Keep track of what may still be applied, and of what that may undo."""
    after_s = user.shared.settings.attempt_timeout_s
    if not isinstance(outcome, Refused) and outcome.is_in_doubt:
        user.doubts = user.doubts or Doubts()
        user.doubts.give_up(send.operation, now_s + after_s)
    if user.doubts is None or not isinstance(outcome, Acknowledged):
        return
    user.doubts.supersede(send.operation)
    is_first = send.purpose is not Purpose.REPEAT
    if is_first and user.doubts.may_undo(send.operation, outcome.sent_at_s):
        _say_again(user, user.doubts, send, now_s + after_s)


def _say_again(user: UserTable, doubts: Doubts, send: Send, at_s: float) -> None:
    operation = send.operation
    if isinstance(operation, HeartbeatOperation):
        kept = {name for claim in user.joined for name in claim.names}
        names = names_of(operation.channels, operation.channel_groups)
        loose = [name for name in names if name not in kept]
        if len(loose) < len(names):
            # The claims' own heartbeat says it, with what is wanted by then.
            user.hasten(at_s)
        if not loose:
            return
        operation = operation.about(channels_of(loose), groups_of(loose))
    doubts.repeat(operation, send.params, min(at_s, user.shared.repeat_by_s))


def next_send(user: UserTable, now_s: float) -> Send | None:
    """Return what has to be said again after a doubt."""
    if user.doubts is None:
        return None
    due = user.doubts.pop_due(now_s)
    if due is None:
        if user.doubts.is_over(now_s):
            user.doubts = None
        return None
    operation, params = due
    if isinstance(operation, LeaveOperation) and user.shared.sharing is not None:
        _leave_again(user, operation, params, now_s)
        return None
    attempt_s = user.shared.settings.attempt_timeout_s
    patience = _patience(user, now_s)
    return Send(user.user_id, operation, params, now_s, attempt_s, patience, now_s)


def _leave_again(
    user: UserTable, operation: LeaveOperation, params: Params, now_s: float
) -> None:
    """Leave as a caller would: by now another worker may hold the user."""
    names = (operation.channels, operation.channel_groups)
    until_s = now_s + user.shared.settings.presence_timeout_s
    order = leaving.leave(user, *names, params, _patience(user, now_s), until_s=until_s)
    order.not_before_s, order.is_known = now_s, True


def _patience(user: UserTable, now_s: float) -> Patience:
    limit_s = 2 * user.shared.settings.attempt_timeout_s
    return Patience(now_s, now_s + limit_s, NO_RETRY)
