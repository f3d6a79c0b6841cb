"""Whatever comes in whatever order: only what is granted leaves, in order, once, and nothing granted is lost."""

import itertools
import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from gateway.flow.erasure import erase_person
from gateway.model.delivery import OutboundRequest, Response
from gateway.model.order import Erasure
from gateway.storage import queue
from tests.fakes import RecordingSender
from tests.shops import Shop, open_shop, settings_for
from tests.visitors import Visitor, a_session, kept_bodies, with_sinks

TTL = 60
SINKS = {"ads": "marketing", "stats": "analytics"}
SESSIONS = st.sampled_from([1, 1, 2])
CUSTOMERS = st.sampled_from(["7", "7", "8"])
NAMED = st.sampled_from([None, None, "7", "7", "8"])
ANSWERS = st.fixed_dictionaries({"marketing": st.booleans(), "analytics": st.booleans()})
CATEGORIES = st.sampled_from([["marketing"], ["analytics"], ["marketing", "analytics"]])
ENDED = ("suppressed", "expired", "cancelled")
YES = {"marketing": True, "analytics": True}
NO = {"marketing": False, "analytics": False}

# What chance may take long to find, as rules and what they are given.
INTERLEAVINGS: dict[str, list[tuple[Any, ...]]] = {
    "grant after the time to live": [("event", 1, None), ("time_passes", 90), ("answer", 1, YES)],
    "grant of a late beacon": [("answer", 1, NO), ("late_answer", 1, YES), ("event", 1, None)],
    "denial of a late beacon": [("answer", 1, YES), ("event", 1, None), ("late_answer", 1, NO)],
    "customer's grant": [("event", 1, None), ("event", 1, "7"), ("customer_answer", "7", YES), ("event", 1, None)],
    "customer's denial": [("event", 1, "7"), ("customer_answer", "7", NO), ("answer", 1, YES), ("event", 1, None)],
    "objection, then a name": [("objection", 1), ("event", 1, "7"), ("customer_answer", "7", YES), ("event", 2, "7")],
    "name, then an objection": [("event", 1, "7"), ("objection", 1), ("customer_answer", "7", YES), ("event", 2, "7")],
    "followers of one that fails": [("event", 1, None), ("event", 1, None), ("answer", 1, YES), ("attempts", 1)],
    "withdrawal between attempts": [
        ("event", 1, None),
        ("answer", 1, YES),
        ("attempts", 2),
        ("withdrawal", 1, ["marketing"]),
        ("time_passes", 5),
    ],
    "erasure between attempts": [("event", 1, "7"), ("answer", 1, YES), ("attempts", 2), ("erasure", "7")],
    "crash in the middle of an attempt": [("event", 1, None), ("answer", 1, YES), ("crash",), ("answer", 1, NO)],
    "crash while one waits": [("event", 1, None), ("crash",), ("answer", 1, YES)],
}


@dataclass
class Said:
    """What the model knows of a session or a customer: its newest answer, and what was taken back for good."""

    answer: dict[str, bool | None] = field(default_factory=dict)
    taken_back: set[str] = field(default_factory=set)
    has_objected: bool = False  # the last signal of a session came with Sec-GPC
    owner: str | None = None

    def is_denied(self, category: str) -> bool:
        return category in self.taken_back or self.answer.get(category) is False

    def is_granted(self, category: str) -> bool:
        return not self.is_denied(category) and self.answer.get(category) is True


@dataclass
class Copy:
    """One event for one destination, as the model follows it."""

    at: int
    event_id: str
    sink: str
    session: int
    customer: str | None
    deadline: datetime
    may_go: bool = False
    is_over: bool = False


class Watching(RecordingSender):
    """A destination that has every request judged at the moment when it arrives."""

    def __init__(self, machine: "Sessions") -> None:
        super().__init__()
        self.machine = machine

    def send(self, request: OutboundRequest) -> Response:
        self.machine.judge(dict(request.headers)["webhook-id"])
        return super().send(request)


class Sessions(RuleBasedStateMachine):
    """Two sessions and two customers of one shop with a destination for each purpose."""

    template: Path

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(self.template, self.folder / "gateway.db")
        self.settings = with_sinks(settings_for(f"sqlite:///{self.folder}/gateway.db", event_ttl_seconds=TTL), **SINKS)
        self.numbers = itertools.count(1)
        self.sessions = {1: Said(), 2: Said()}
        self.customers = {"7": Said(), "8": Said()}
        self.copies: list[Copy] = []
        self.sent: dict[tuple[int, str], int] = {}
        self.delivered: set[tuple[str, str]] = set()
        self.shop = self.reopened(None)

    def reopened(self, clock: Any) -> Shop:
        shop = open_shop(self.settings)
        sender = Watching(self)
        object.__setattr__(shop.gateway.parts, "sender", sender)
        shop.sender, shop.clock = sender, clock or shop.clock
        object.__setattr__(shop.gateway.database, "_clock", shop.clock)
        return shop

    def visitor(self, session: int) -> Visitor:
        self.shop.clock.pass_by(seconds=1)
        return Visitor(self.shop, a_session(session))

    # --- what happens -----------------------------------------------------------------------------------------

    @rule(session=SESSIONS, customer=NAMED)
    def event(self, session: int, customer: str | None) -> None:
        visitor, number = self.visitor(session), next(self.numbers)
        deadline = self.shop.clock() + timedelta(seconds=TTL)
        self.settle_model()
        known = self.sessions[session]
        if customer:
            known.owner = customer
            if known.has_objected:
                self.customers[customer].taken_back.add("marketing")
        self.settle_model()
        copies = [Copy(number, f"event-{number}", sink, session, customer, deadline) for sink in SINKS]
        self.copies += copies
        self.settle_model()
        verdict = visitor.sends(event_id=f"event-{number}", customer_id=customer)
        assert verdict == self.expected(copies)
        assert visitor.sends(event_id=f"event-{number}", customer_id=customer) == "duplicate"

    @rule(session=SESSIONS)
    def pending(self, session: int) -> None:
        self.visitor(session).shows_banner(seq=next(self.numbers))
        self.settle_model()

    @rule(session=SESSIONS, answer=ANSWERS)
    def answer(self, session: int, answer: dict[str, bool]) -> None:
        self.visitor(session).answers(**answer, seq=next(self.numbers))
        self.settle_model()
        self.sessions[session].answer = dict(answer)
        self.sessions[session].has_objected = False
        self.settle_model()

    @rule(session=SESSIONS, answer=ANSWERS)
    def late_answer(self, session: int, answer: dict[str, bool]) -> None:
        """A beacon from before everything else: it can deny, and nothing more."""
        known = self.sessions[session]
        self.visitor(session).shows_banner(seq=next(self.numbers))
        self.visitor(session).answers(**answer, seq=0)
        self.settle_model()
        known.answer.update({name: False for name, value in answer.items() if not value})
        self.settle_model()

    @rule(session=SESSIONS)
    def objection(self, session: int) -> None:
        self.visitor(session).shows_banner(seq=next(self.numbers), sec_gpc=True)
        self.settle_model()
        known = self.sessions[session]
        known.answer["marketing"] = False
        known.has_objected = True
        if known.owner:
            self.customers[known.owner].taken_back.add("marketing")
        self.settle_model()

    @rule(customer=CUSTOMERS, answer=ANSWERS)
    def customer_answer(self, customer: str, answer: dict[str, bool]) -> None:
        self.visitor(1).is_said(customer_id=customer, categories=answer, seq=next(self.numbers))
        self.settle_model()
        self.customers[customer].answer = dict(answer)
        self.settle_model()

    @rule(session=SESSIONS, categories=CATEGORIES)
    def withdrawal(self, session: int, categories: list[str]) -> None:
        self.visitor(session).withdraws(session_id=a_session(session), categories=categories)
        self.settle_model()
        known = self.sessions[session]
        known.taken_back.update(categories)
        if known.owner:
            self.customers[known.owner].answer.update(dict.fromkeys(categories, False))
        self.settle_model()

    @rule(customer=CUSTOMERS, categories=CATEGORIES)
    def customer_withdrawal(self, customer: str, categories: list[str]) -> None:
        self.visitor(1).withdraws(customer_id=customer, categories=categories)
        self.settle_model()
        self.customers[customer].answer.update(dict.fromkeys(categories, False))
        self.settle_model()

    @rule(customer=CUSTOMERS)
    def erasure(self, customer: str) -> None:
        self.visitor(1)
        self.settle_model()
        who, now = Erasure(customer_id=customer), self.shop.clock()
        self.shop.gateway.database.write(lambda connection: erase_person(connection, "acme", who, (), now))
        for known in self.sessions.values():
            if known.owner == customer:
                known.taken_back.update(SINKS.values())
                known.owner = None
        owned = [number for number, known in self.sessions.items() if known.taken_back >= set(SINKS.values())]
        for copy in self.copies:
            copy.is_over = copy.is_over or copy.customer == customer or copy.session in owned
        self.customers[customer] = Said()

    @rule(seconds=st.sampled_from([1, 5, 5, 45, 90]))
    def time_passes(self, seconds: int) -> None:
        self.shop.clock.pass_by(seconds=seconds)
        self.settle_model()

    @rule(failures=st.integers(0, 3))
    def attempts(self, failures: int) -> None:
        """Some attempts fail and are tried again."""
        self.shop.sender.answers = [503] * failures
        self.shop.dispatch()
        self.shop.sender.answers = []

    @rule()
    def crash(self) -> None:
        """A worker dies with what it claimed, and everything starts again."""
        now, database = self.shop.clock(), self.shop.gateway.database
        lease = timedelta(seconds=60)
        database.write(lambda c: queue.claim(c, worker="lost", limits=dict.fromkeys(SINKS, 5), lease=lease, now=now))
        self.shop.gateway.close()
        self.shop = self.reopened(self.shop.clock)

    # --- what must hold ---------------------------------------------------------------------------------------

    def settle_model(self) -> None:
        """Follow every copy that is neither over nor free to go; denied beats granted, and time runs out first."""
        now = self.shop.clock()
        for copy in self.copies:
            if copy.is_over or (copy.event_id, copy.sink) in self.delivered:
                continue
            if (not copy.may_go and now >= copy.deadline) or self.is_denied(copy):
                copy.is_over = True
            elif self.is_granted(copy):
                copy.may_go = True

    def is_denied(self, copy: Copy) -> bool:
        category, session = SINKS[copy.sink], self.sessions[copy.session]
        people = [self.customers[one] for one in (copy.customer, session.owner) if one]
        return any(one.is_denied(category) for one in (session, *people))

    def is_granted(self, copy: Copy) -> bool:
        category = SINKS[copy.sink]
        speaking = [self.sessions[copy.session]] + ([self.customers[copy.customer]] if copy.customer else [])
        return not self.is_denied(copy) and any(one.is_granted(category) for one in speaking)

    def expected(self, copies: list[Copy]) -> str:
        if any(copy.may_go for copy in copies):
            return "accepted"
        return "discarded" if all(copy.is_over for copy in copies) else "queued"

    def judge(self, message_id: str) -> None:
        """Nothing leaves that is not granted now, that ever met a denial, that expired, or out of order."""
        [row] = [row for row in self.shop.deliveries() if row["message_id"] == message_id]
        [copy] = [one for one in self.copies if (one.event_id, one.sink) == (row["event_id"], row["destination_id"])]
        assert copy.may_go
        assert not copy.is_over
        assert self.is_granted(copy)
        stream = (copy.session, copy.sink)
        assert copy.at >= self.sent.get(stream, 0)
        self.sent[stream] = copy.at

    @invariant()
    def bodies_are_gone_with_what_ended(self) -> None:
        if not hasattr(self, "shop"):
            return
        needed = set()
        for row in self.shop.deliveries():
            if row["state"] == "delivered":
                self.delivered.add((row["event_id"], row["destination_id"]))
            if row["state"] in ENDED:
                assert row["customer_id"] is None
                assert row["reason"]
            else:
                needed.add(row["body_id"])
        assert kept_bodies(self.shop) <= needed

    def teardown(self) -> None:
        if not hasattr(self, "shop"):
            return
        for _ in range(20):
            self.shop.clock.pass_by(hours=1)
            self.settle_model()
            self.shop.dispatch()
        self.bodies_are_gone_with_what_ended()
        granted = {(copy.event_id, copy.sink) for copy in self.copies if copy.may_go and not copy.is_over}
        assert granted <= self.delivered
        assert all(row["finished_at"] is not None for row in self.shop.deliveries())
        self.shop.gateway.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def test_sessions_keep_their_promises(sqlite_template: Path) -> None:
    Sessions.template = sqlite_template
    profile = settings(max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Sessions, settings=profile)


@pytest.mark.parametrize("steps", INTERLEAVINGS.values(), ids=INTERLEAVINGS.keys())
def test_known_interleavings_keep_the_promises(sqlite_template: Path, steps: list[tuple[Any, ...]]) -> None:
    Sessions.template = sqlite_template
    machine = Sessions()
    machine.open()
    for rule_name, *given in steps:
        getattr(machine, rule_name)(*given)
        machine.bodies_are_gone_with_what_ended()
    machine.teardown()


def test_the_watch_sees_what_must_not_leave(sqlite_template: Path) -> None:
    Sessions.template = sqlite_template
    machine = Sessions()
    machine.open()
    machine.event(1, None)
    machine.answer(1, {"marketing": True, "analytics": True})
    for copy in machine.copies:
        copy.is_over = True
    with pytest.raises(AssertionError):
        machine.shop.gateway.send(_prepared(machine.shop))
    machine.shop.gateway.close()


def _prepared(shop: Shop) -> Any:
    now = shop.clock()
    claimed = shop.gateway.database.write(
        lambda c: queue.claim(c, worker="w", limits={"ads": 1}, lease=timedelta(seconds=60), now=now)
    )
    return shop.gateway.prepare(claimed)[0]
