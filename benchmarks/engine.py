"""What does the presence engine itself cost, without loop, socket or client?

    python benchmarks/engine.py                     # 10,000 and 100,000 users, a minute
    python benchmarks/engine.py --quick             # 1,000 and 10,000
    python benchmarks/engine.py --users 1000000     # 100,000 and as many

Example: ``python benchmarks/engine.py | grep bytes`` shows what a user takes.

CPU of a join, of a calm heartbeat (taken, answered, planned again), of a heartbeat that
is said once, and of a release; the bytes that a kept user takes, its lease included;
and what all users cost together, by the user: after a sleep, when refused ones are
tried again, and at the close. Of an outage the longest step of the engine. Blocks are
judged by their 2nd percentile; a control is a pair put into a dict.

Gates: a kept user takes at most 600 bytes, and a heartbeat costs at most 200 controls.
"""

from __future__ import annotations

import gc
import random
import sys
import time
import tracemalloc
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

from measuring import percentile_2
from reporting import Gate, conclude, judged, options_of, print_cases, progress

from presence_async.client.lease import Lease
from presence_async.client.presence_calls import PresenceCalls
from presence_async.errors import ConnectionLostError
from presence_async.presence.claims import Claim, Order, OrderKind, Patience
from presence_async.presence.engine import PresenceEngine
from presence_async.presence.pace import default_interval_s
from presence_async.presence.patience import NO_RETRY
from presence_async.presence.settings import Settings
from presence_async.presence.wire import Acknowledged, Failed, Outcome, Send
from presence_async.protocol.heartbeat import HeartbeatOperation

BLOCK = 100
MOST_BYTES = 600
MOST_CONTROLS = 200
ORDERS = 5000
RELEASES = 2000
BEATS = 20_000
WEIGHED = 50_000


class Kept:
    """An engine with users, at a time of its own.

    Attributes:
        now_s: Loop time.
        claims: What is kept.
        longest_s: The longest step so far, in CPU seconds.
    """

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.engine = PresenceEngine(
            Settings(subscribe_key="key", interval_s=default_interval_s),
            random.Random(1),  # noqa: S311  # repeatable
        )
        self.claims: list[Claim] = []
        self.longest_s = 0.0

    def patience(self) -> Patience:
        return Patience(self.now_s, self.now_s + 30, NO_RETRY)

    def join(self, number: int) -> None:
        """Let one more user join."""
        claim = Claim(user_id=f"user-{number:07}", channels=("lobby",))
        self.engine.join(claim, self.patience(), self.now_s)
        self.claims.append(claim)
        self.answer_all()
        self.now_s += 1e-4

    def beat(self, _: int) -> None:
        """Let time go by until a heartbeat is due; send it, and others due with it."""
        send = self.engine.take(self.now_s)
        while send is None:
            self.engine.drain()
            self.now_s = max(self.now_s, self.engine.next_s)
            send = self.engine.take(self.now_s)
        self.engine.answered(send, Acknowledged(self.now_s), self.now_s)

    def say(self, number: int) -> None:
        """Say one heartbeat of somebody who is not kept."""
        user_id = f"other-{number}"
        operation = HeartbeatOperation(
            subscribe_key="key", user_id=user_id, channels=("lobby",)
        )
        order = Order(
            kind=OrderKind.HEARTBEAT,
            user_id=user_id,
            patience=self.patience(),
            operation=operation,
        )
        self.engine.say(order, self.now_s)
        self.answer_all()

    def release(self, _: int) -> None:
        """Release one user and acknowledge the leave."""
        self.engine.release(self.claims.pop(), self.patience(), self.now_s)
        self.answer_all()

    def answer_all(self) -> int:
        """Acknowledge whatever may be sent now; return how many requests it was."""
        number = 0
        while (send := self.engine.take(self.now_s)) is not None:
            self.engine.answered(send, Acknowledged(self.now_s), self.now_s)
            number += 1
        self.engine.drain()
        return number

    def step(self, what: Callable[[], object]) -> float:
        """Do something in one go; return its CPU seconds."""
        began_s = time.process_time()
        what()
        took_s = time.process_time() - began_s
        self.longest_s = max(self.longest_s, took_s)
        return took_s

    def an_outage(self) -> None:
        """Let every heartbeat fail for a minute."""
        end_s = self.now_s + 60
        while (next_s := self.engine.next_s) <= end_s:
            self.now_s = max(self.now_s, next_s)
            for send in self._taken():
                self._answer(send, Failed(ConnectionLostError("cut")))
            self.engine.drain()
        self.now_s = end_s

    def recover(self) -> None:
        """Let every heartbeat come through, as many at once as may be out."""
        self.now_s = max(self.now_s, self.engine.next_s)
        while sends := self._taken():
            for send in sends:
                self._answer(send, Acknowledged(self.now_s))
            self.engine.drain()
            self.now_s += 0.005

    def _taken(self) -> list[Send]:
        sends: list[Send] = []

        def take() -> None:
            while (send := self.engine.take(self.now_s)) is not None:
                sends.append(send)

        self.step(take)
        return sends

    def _answer(self, send: Send, outcome: Outcome) -> None:
        self.step(lambda: self.engine.answered(send, outcome, self.now_s))


def control(_: int) -> None:
    table: dict[int, tuple[int, int]] = {}
    for number in range(20):
        table[number] = (number, number)


def cost_us(what: Callable[[int], object], number: int) -> float:
    """Return the CPU microseconds of one of many, almost undisturbed."""
    blocks = []
    for first in range(0, number, BLOCK):
        began_ns = time.process_time_ns()
        for n in range(first, first + BLOCK):
            what(n)
        blocks.append((time.process_time_ns() - began_ns) / BLOCK / 1000)
    return percentile_2(blocks)


def costs(users: int) -> dict[str, float]:
    """Return what each costs in microseconds, all at once in microseconds a user."""
    progress(f"{users:,} users …")
    kept = Kept()
    found = {"control": cost_us(control, 20_000) / 20}
    found["join"] = cost_us(kept.join, users)
    gc.collect()
    kept.now_s += 150
    kept.answer_all()
    found["heartbeat"] = cost_us(kept.beat, BEATS)
    found["said once"] = cost_us(kept.say, ORDERS)
    found["release"] = cost_us(kept.release, min(RELEASES, users // 2))
    left = len(kept.claims)
    engine = kept.engine
    whole_s = {
        "retry refused": kept.step(lambda: engine.retry_refused(None, kept.now_s)),
        "slept": kept.step(lambda: engine.slept(20, kept.now_s)),
        "all after it": kept.step(kept.recover),
    }
    kept.longest_s = 0.0
    kept.an_outage()
    kept.recover()
    found["longest step in an outage"] = kept.longest_s * 1e6
    last = kept.patience()
    whole_s["close"] = kept.step(lambda: engine.close(last, kept.now_s, leave=True))
    whole_s["leaves"] = kept.step(kept.recover)
    return found | {name: took_s / left * 1e6 for name, took_s in whole_s.items()}


def bytes_a_user(users: int) -> float:
    """Return what a user takes that has joined and been sent some heartbeats."""
    progress(f"weighing {users:,} users …")
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    kept = Kept()
    # All that a lease needs of it to be made; one for all, as in a client.
    calls = cast("PresenceCalls", SimpleNamespace(moment=None))
    leases = []
    for number in range(users):
        kept.join(number)
        leases.append(Lease(calls, kept.claims.pop()))
    end_s = kept.now_s + 2 * default_interval_s(300)
    while kept.engine.next_s < end_s:
        kept.now_s = max(kept.now_s, kept.engine.next_s)
        kept.answer_all()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / users - 8  # in the list of leases here


def main() -> int:
    parser = options_of(__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    options = parser.parse_args()
    users = 10_000 if options.quick else options.users
    few, many = costs(users // 10), costs(users)
    weight = round(bytes_a_user(min(users, WEIGHED)))
    print_cases({
        f"{users // 10:,} users": {f"{k}, us": v for k, v in few.items()},
        f"{users:,} users": {f"{k}, us": v for k, v in many.items()},
    })
    heartbeat = many["heartbeat"] / many["control"]
    gates = [
        Gate(what="bytes a user", value=weight, limit=MOST_BYTES, is_count=True),
        Gate(what="heartbeat / control", value=heartbeat, limit=MOST_CONTROLS),
    ]
    values = {
        "bytes a user": weight,
        "heartbeat / control": heartbeat,
        **many,
    }
    return conclude("engine", judged(gates, quick=options.quick), values, "see names")


if __name__ == "__main__":
    sys.exit(main())
