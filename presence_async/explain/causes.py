"""Why a request failed, in a few words."""

from __future__ import annotations

from http import HTTPStatus

from ..errors import DeadlineError, RequestError, ServiceError

__all__ = ["status_of", "why"]

_MOST_CHARACTERS = 200


def why(error: Exception) -> str:
    """Return what happened: ``503 Service Unavailable``, ``no connection …``."""
    return _cut(_why(error))


def status_of(error: Exception) -> int:
    """Return the status of an answer; 0 if there was none."""
    is_answer = isinstance(error, ServiceError) and error.is_about_service
    return error.status if is_answer and isinstance(error, ServiceError) else 0


def _why(error: Exception) -> str:
    match error:
        case ServiceError() if error.is_about_service:
            words = error.message or _phrase(error.status)
            return f"{error.status} {words}".strip()
        case DeadlineError():
            before = error.last_failure
            return "no answer came in time" if before is None else _why(before)
        case RequestError():
            cause = _cause(error)
            return f"{error.problem} ({cause})" if cause else error.problem
        case _:
            return str(error) or type(error).__name__


def _cause(error: RequestError) -> str:
    """Return the system's words; of a token function the kind of error alone.

    What such a function says may be secret.
    """
    kind, _, words = (error.cause or "").partition(": ")
    return words if error.is_about_service else kind


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
