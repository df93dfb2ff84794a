"""One tree of errors that pickle, copy and read well."""

from __future__ import annotations

import copy
import pickle

import pytest

import presence_async
from presence_async import errors

EXAMPLES: list[tuple[errors.PresenceError, str]] = [
    (
        errors.InvalidArgumentError("limit", "must be 1 to 1000"),
        "limit: must be 1 to 1000",
    ),
    (errors.ClientClosedError("the client is closed"), "the client is closed"),
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
            "its 5 s were over", last_failure=errors.ConnectError("no route")
        ),
        "request failed after 1 attempt in 0.0 s: its 5 s were over."
        " Give the call a larger timeout_s, or look why the service is slow.",
    ),
    (
        errors.RejectedRequestError("Presence answered 400", status=400),
        "request failed after 1 attempt in 0.0 s: Presence answered 400."
        " The same request will be refused again.",
    ),
    (
        errors.AccessDeniedError("answered 403", status=403, service="Access Manager"),
        "request failed after 1 attempt in 0.0 s: answered 403."
        " Check the token and what it grants.",
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
    ("error", "text"), EXAMPLES, ids=[type(e).__name__ for e, _ in EXAMPLES]
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
