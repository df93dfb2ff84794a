"""Servers for the tests, and registers on them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from .servers import ENGINES, Server, program, running
from .user import User

StartServer = Callable[..., Server]


def need(engine: str) -> None:
    """Skip a test where there is no such server."""
    pytest.importorskip("valkey", reason="needs presence-async[valkey]")
    if program(engine) is None:
        pytest.skip(f"no {engine}-server on this machine")


@pytest.fixture(scope="session")
def shared_servers() -> Iterator[Callable[[str], Server]]:
    """Servers that all tests of a process share."""
    with contextlib.ExitStack() as stack:
        servers: dict[str, Server] = {}

        def shared(engine: str) -> Server:
            need(engine)
            if engine not in servers:
                servers[engine] = stack.enter_context(running(engine))
            return servers[engine]

        yield shared


@pytest.fixture(params=ENGINES)
def server(
    request: pytest.FixtureRequest, shared_servers: Callable[[str], Server]
) -> Server:
    """Either server, with whatever other tests left there."""
    return shared_servers(request.param)


@pytest.fixture(params=ENGINES)
def start_server(request: pytest.FixtureRequest) -> Iterator[StartServer]:
    """Start servers of the test's own, to stop and to break."""
    need(request.param)
    with contextlib.ExitStack() as stack:
        yield lambda *options: stack.enter_context(running(request.param, *options))


@pytest.fixture
def alice() -> User:
    return User()


@pytest.fixture
def shared() -> User:
    """Held by two workers, one of which has just sent a heartbeat."""
    user = User()
    user.hold("leader", "lobby")
    user.hold("follower", "lobby")
    user.beaten("leader", "lobby")
    return user
