"""One tree of errors that pickle, copy and read well."""

from __future__ import annotations

import copy
import pickle

import pytest

import presence_async
from presence_async import errors


def name_of(error: errors.PresenceError) -> str:
    """Return an id for a test's parameter."""
    kind = f"{type(error).__name__} {getattr(error, 'status', '')}".strip()
    # What the advice of errors of one kind depends on.
    return f"{kind} {getattr(error, 'message', '') or getattr(error, 'operation', '')}"


EXAMPLES: list[tuple[errors.PresenceError, str]] = [
    (
        errors.InvalidArgumentError("limit", "must be 1 to 1000"),
        "limit: must be 1 to 1000",
    ),
    (errors.LeaseReleasedError(), "lease: was released; join again"),
    (errors.ClientClosedError("the client is closed"), "the client is closed"),
    (
        errors.ConcurrencyError("stream", "has a reader already"),
        "stream: has a reader already",
    ),
    (
        errors.RegisterError("the valkey register did not answer within 1 s"),
        "the valkey register did not answer within 1 s",
    ),
    (
        errors.ConnectError(
            "no connection came about",
            operation="here now",
            attempts=4,
            elapsed_s=3.21,
            cause="Connection refused",
        ),
        "here now failed after 4 attempts in 3.2 s: no connection came about"
        " (Connection refused). Check the origin, the network and the proxy.",
    ),
    (
        errors.ConnectionLostError("the connection broke"),
        "request failed after 1 attempt in 0.0 s: the connection broke."
        " Try again; the service may or may not have acted.",
    ),
    (
        errors.DeadlineError(
            "it took longer than 5 s", last_failure=errors.ConnectError("no route")
        ),
        "request failed after 1 attempt in 0.0 s: it took longer than 5 s."
        " Give the call a larger timeout_s, or find out what is slow.",
    ),
    (
        errors.RejectedRequestError("Presence answered 400", status=400),
        "request failed after 1 attempt in 0.0 s: Presence answered 400."
        " The same request will be refused again.",
    ),
    (
        errors.RejectedRequestError("the service answered 408", status=408),
        "request failed after 1 attempt in 0.0 s: the service answered 408."
        " Try again later.",
    ),
    (
        errors.RejectedRequestError("the service answered 302", status=302),
        "request failed after 1 attempt in 0.0 s: the service answered 302."
        " Something other than the service may have answered; try again later.",
    ),
    (
        errors.AccessDeniedError("answered 403", status=403, service="Access Manager"),
        "request failed after 1 attempt in 0.0 s: answered 403."
        " Check the token and what it grants.",
    ),
    (
        errors.AccessDeniedError("answered 403", status=403, operation="subscribe"),
        "subscribe failed after 1 attempt in 0.0 s: answered 403. Check the token and"
        " what it grants: events need read on names with -pnpres.",
    ),
    (
        errors.AccessDeniedError(
            "answered 403", status=403, message="Signature Does Not Match"
        ),
        "request failed after 1 attempt in 0.0 s: answered 403."
        " Check secret_key and publish_key, and the clock.",
    ),
    (
        errors.RateLimitedError("answered 429", status=429, retry_after_s=60),
        "request failed after 1 attempt in 0.0 s: answered 429. Send fewer requests.",
    ),
    (
        errors.UnavailableError("answered 503", status=503, message="busy"),
        "request failed after 1 attempt in 0.0 s: answered 503. Try again later.",
    ),
    (
        errors.ReplyFormatError("answered 200", excerpt="<html>"),
        "request failed after 1 attempt in 0.0 s: answered 200. Something other than"
        " the service may have answered. It began '<html>'.",
    ),
]


@pytest.mark.parametrize(
    ("error", "text"), EXAMPLES, ids=[name_of(e) for e, _ in EXAMPLES]
)
def test_an_error_reads_well_and_survives_pickle_and_copy(
    error: errors.PresenceError, text: str
) -> None:
    pickled = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own

    assert str(error) == text
    for other in (pickled, copy.copy(error), copy.deepcopy(error)):
        assert type(other) is type(error)
        assert str(other) == text
        assert other.args == error.args
        assert set(vars(other)) == set(vars(error))


def test_every_error_is_exported_and_descends_from_one() -> None:
    exported = [getattr(presence_async, name) for name in errors.__all__]

    assert all(issubclass(kind, errors.PresenceError) for kind in exported)
    leaves = {type(error) for error, _ in EXAMPLES}
    abstract = {
        errors.PresenceError,
        errors.RequestError,
        errors.TransportError,
        errors.ServiceError,
    }
    assert leaves | abstract == set(exported)


def test_an_error_that_says_nothing_about_the_service_still_does_as_a_copy() -> None:
    error = errors.AccessDeniedError("the token provider failed", status=401)
    error.is_about_service = False

    other = copy.copy(error)

    assert errors.AccessDeniedError("denied", status=401).is_about_service
    assert not other.is_about_service
    assert "auth function" in str(other)


def test_errors_with_a_name_of_their_own_are_caught_by_the_one_they_had() -> None:
    assert issubclass(errors.LeaseReleasedError, errors.InvalidArgumentError)
    assert issubclass(errors.ConcurrencyError, errors.InvalidArgumentError)
    assert issubclass(errors.ConcurrencyError, errors.ClientClosedError)


NEVER, LATER, AT_ONCE = (False, False), (True, False), (True, True)
VERDICTS: list[tuple[errors.RequestError, tuple[bool, bool]]] = [
    (errors.RequestError("x"), LATER),
    (errors.ConnectError("x"), AT_ONCE),
    (errors.ConnectionLostError("x"), AT_ONCE),
    (errors.DeadlineError("x"), AT_ONCE),
    (errors.RejectedRequestError("x", status=101), LATER),
    (errors.RejectedRequestError("x", status=302), LATER),
    (errors.RejectedRequestError("x", status=400), NEVER),
    (errors.RejectedRequestError("x", status=404), NEVER),
    (errors.RejectedRequestError("x", status=408), AT_ONCE),
    (errors.RejectedRequestError("x", status=414), NEVER),
    (errors.AccessDeniedError("x", status=401), NEVER),
    (errors.AccessDeniedError("x", status=403), NEVER),
    (errors.RateLimitedError("x", status=429), AT_ONCE),
    (errors.UnavailableError("x", status=500), AT_ONCE),
    (errors.UnavailableError("x", status=599), AT_ONCE),
    (errors.ReplyFormatError("x"), LATER),
]


@pytest.mark.parametrize(
    ("error", "verdict"),
    VERDICTS,
    ids=[name_of(e) for e, _ in VERDICTS],
)
def test_an_error_says_whether_it_may_pass_and_whether_to_repeat_at_once(
    error: errors.RequestError, verdict: tuple[bool, bool]
) -> None:
    assert (error.is_transient, error.is_retryable) == verdict


def test_errors_are_caught_by_the_builtin_they_stand_for() -> None:
    assert issubclass(errors.DeadlineError, TimeoutError)
    assert issubclass(errors.InvalidArgumentError, ValueError)
    assert issubclass(errors.ClientClosedError, RuntimeError)


def test_every_public_name_resolves_and_nothing_else_does() -> None:
    assert presence_async.__all__ == sorted(presence_async.__all__)
    for name in presence_async.__all__:
        assert getattr(presence_async, name).__name__ in {name, "RetryPolicy"}
    assert set(presence_async.__all__) <= set(dir(presence_async))
    with pytest.raises(AttributeError, match="no_such_name"):
        presence_async.no_such_name  # noqa: B018
