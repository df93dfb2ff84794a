"""``presence-async plan`` prints what a presence costs."""

from __future__ import annotations

import json

import pytest

from .commands import invoke

SMALL = ["plan", "--users", "10", "--hours", "1"]


def test_a_table_tells_requests_events_and_what_to_turn() -> None:
    code, out, errors = invoke(*SMALL, "--timeout", "62", "--observers", "2")

    assert (code, errors) == (0, "")
    rows = [[x.strip() for x in line.split("│")[1:-1]] for line in out.splitlines()]
    # One to join and 120 at intervals of 30 s, of 10 users on 30 days.
    assert ["heartbeats", "36,300", "1,210"] in rows
    assert ["joins", "300", "10"] in rows
    assert "presence_timeout_s=300" in out
    assert "cost" not in out


def test_prices_add_a_cost() -> None:
    prices = ["--price-transactions", "1000000", "--price-user", "2"]

    code, out, _ = invoke(*SMALL, "--price-replicated", "0", *prices, "--json")

    told = json.loads(out)
    assert code == 0
    assert told["cost"] == pytest.approx(told["transactions"]["edge"] + 20, abs=1)
    assert (told["situation"]["users"], told["situation"]["rooms"]) == (10, 1)
    assert told["requests"]["leave"] == told["events"]["leave"] == 300


@pytest.mark.parametrize("columns", ["30", "80"])
def test_it_fits_the_terminal(columns: str) -> None:
    _, out, _ = invoke("plan", "--observers", "20", COLUMNS=columns)

    assert max(map(len, out.splitlines())) <= int(columns)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--timeout", "1"], "--timeout: must be 3 s or more"),
        (["--view", "list"], "--view: must be roster, count or stream"),
        (["--price-edge", "-1"], "--price-edge: must be a number from 0 on"),
    ],
)
def test_errors_name_the_option(arguments: list[str], words: str) -> None:
    code, out, errors = invoke("plan", *arguments)

    assert (code, out) == (2, "")
    assert words in errors
