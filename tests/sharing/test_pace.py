"""When a client speaks to its register."""

from __future__ import annotations

import math
import random

import pytest

from presence_async.client.sharing.pace import RegisterPace
from presence_async.presence.membership import Membership
from presence_async.register.values import Beaten, Departing, Worker


class Scene:
    """A pace and the member whose words it times."""

    def __init__(self) -> None:
        self.member = Membership(Worker("sub-key", "worker"), 30, 10)
        self.member.is_up = True
        self.pace = RegisterPace(self.member, random.Random(1))  # noqa: S311  # repeatable
        self.pace.attended(0, has_more=False)

    def beat(self) -> None:
        self.member.beaten.append((Beaten("alice", (), 60, 0.0), 0.0))


@pytest.fixture(name="scene")
def make_scene() -> Scene:
    return Scene()


def test_the_first_sign_of_life_is_due_at_once() -> None:
    member = Membership(Worker("sub-key", "worker"), 30, 10)
    pace = RegisterPace(member, random.Random(1))  # noqa: S311  # repeatable

    assert pace.due_s(0) == -math.inf


def test_signs_of_life_come_about_once_a_second(scene: Scene) -> None:
    waits = set()
    for now_s in range(100):
        scene.pace.attended(now_s, has_more=False)
        waits.add(scene.pace.attend_s - now_s)

    assert len(waits) > 50
    assert all(0.75 <= wait_s <= 1.25 for wait_s in waits)


def test_what_did_not_fit_into_an_answer_is_asked_for_at_once(scene: Scene) -> None:
    scene.pace.attended(10, has_more=True)

    assert scene.pace.due_s(10) == 10.02


def test_questions_do_not_wait(scene: Scene) -> None:
    scene.member.departed.append(Departing("alice", ()))

    assert scene.pace.due_s(0) == -math.inf


def test_heartbeats_wait_a_fifth_of_a_second_for_more(scene: Scene) -> None:
    scene.beat()

    assert scene.pace.begin_sleep(0.1) == pytest.approx(0.3)
    scene.beat()
    assert scene.pace.begin_sleep(0.2) == pytest.approx(0.3)
    assert not scene.pace.must_note(0.2)
    assert scene.pace.must_note(0.31)


def test_heartbeats_that_were_noted_do_not_count(scene: Scene) -> None:
    scene.beat()
    scene.pace.begin_sleep(0.1)
    scene.member.beaten.clear()
    scene.pace.noted()
    scene.beat()

    assert scene.pace.begin_sleep(0.4) == pytest.approx(0.6)


def test_heartbeats_go_along_with_a_question(scene: Scene) -> None:
    scene.beat()
    scene.member.departed.append(Departing("alice", ()))

    assert scene.pace.must_note(0)


def test_a_register_that_is_away_is_only_told_of_life(scene: Scene) -> None:
    scene.member.is_up = False
    scene.beat()
    scene.member.departed.append(Departing("alice", ()))

    assert scene.pace.due_s(0) == scene.pace.attend_s


def test_pauses_grow_only_while_a_register_comes_back_and_fails(scene: Scene) -> None:
    waits = []
    for now_s in range(0, 50, 5):
        scene.pace.failed(now_s)
        waits.append(scene.pace.attend_s - now_s)

    assert 0.75 <= waits[0] <= 1.25
    assert 1.5 <= waits[1] <= 2.5
    assert all(6 <= wait_s <= 10 for wait_s in waits[3:])
    scene.pace.failed(100)
    assert scene.pace.attend_s <= 101.25


def test_pauses_do_not_grow_while_a_register_is_away(scene: Scene) -> None:
    scene.member.is_up = False
    for now_s in range(10):
        scene.pace.failed(now_s)
        assert scene.pace.attend_s <= now_s + 1.25
