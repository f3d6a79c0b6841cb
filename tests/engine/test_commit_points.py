"""The process dies at every single commit, just before it and just after; the next one picks everything up."""

import json
from dataclasses import dataclass, field

import pytest

from gateway.bootstrap import build
from gateway.errors import NotRecorded
from gateway.model.delivery import OPEN_STATES
from tests.engine.dying import Died, Fate, empty, unbind
from tests.fakes import FixedClock, RecordingSender
from tests.shops import ALL, NONE, Shop, a_woo_order, an_entry, open_shop, settings_for

EMAIL = "jan.novak@example.com"


@dataclass
class World:
    """What outlives a process: the database, the receiver, the clock, and what the store has been answered."""

    url: str
    sender: RecordingSender = field(default_factory=RecordingSender)
    clock: FixedClock = field(default_factory=FixedClock)
    answered: list[str] = field(default_factory=list)

    def live(self, fate: Fate | None = None) -> None:
        """One process: take in what the store has not been answered yet, then deliver."""
        shop = self._opened()
        if fate:
            fate.bind(shop.gateway.database)
        try:
            self._work(shop)
        except (Died, NotRecorded):
            assert fate
            assert fate.count >= fate.at
        finally:
            unbind(shop.gateway.database)
            shop.gateway.close()

    def _opened(self) -> Shop:
        settings = settings_for(self.url, mode="anonymize")
        gateway = build(settings, sender=self.sender, clock=self.clock, jitter=lambda: 0.5)
        return Shop(gateway=gateway, clock=self.clock, sender=self.sender, settings=settings)

    def _work(self, shop: Shop) -> None:
        for name, order, topic in STORY:
            if name not in self.answered:
                assert shop.post(order, topic=topic).status in {"accepted", "duplicate"}
                self.answered.append(name)
        for _ in range(6):
            shop.dispatch()
            self.clock.pass_by(seconds=120)


STORY = [
    ("granted", a_woo_order(11, an_entry(ALL)), "order.created"),
    ("granted again", a_woo_order(11, an_entry(ALL), status="completed"), "order.updated"),
    ("denied", a_woo_order(12, an_entry(NONE)), "order.created"),
    ("denied again", a_woo_order(12, an_entry(NONE), status="completed"), "order.updated"),
]


def assert_all_is_well(world: World) -> None:
    shop = open_shop(settings_for(world.url, mode="anonymize"))
    rows = shop.deliveries()
    shop.gateway.close()
    assert [row["state"] for row in rows if row["state"] in OPEN_STATES] == []
    assert sorted(row["state"] for row in rows) == ["delivered"] * len(STORY)
    seen: dict[int, list[str]] = {}
    ids: dict[tuple[int, str], set[str]] = {}
    for request in world.sender.requests:
        order = json.loads(request.body)
        seen.setdefault(order["id"], []).append(order["status"])
        ids.setdefault((order["id"], order["status"]), set()).add(dict(request.headers)["webhook-id"])
        assert order["id"] == 11 or EMAIL.encode() not in request.body
    assert all(states == sorted(states, key=["processing", "completed"].index) for states in seen.values())
    assert len(ids) == len(STORY)
    assert all(len(one) == 1 for one in ids.values())


def commits_of_a_life(url: str) -> int:
    """How many commits there are when nothing goes wrong; the receiver is busy once."""
    world, fate = World(url), Fate(at=1_000_000, after_commit=False)
    world.sender.answers = ["http_503"]
    world.live(fate)
    assert_all_is_well(world)
    empty(url)
    return fate.count


@pytest.mark.parametrize("after_commit", [False, True])
def test_dying_at_any_commit_loses_nothing(any_url: str, after_commit: bool) -> None:
    commits = commits_of_a_life(any_url)
    assert commits > 12
    every = 1 if any_url.startswith("sqlite") else 3
    for at in range(1, commits + 1, every):
        world = World(any_url)
        world.sender.answers = ["http_503"]
        world.live(Fate(at=at, after_commit=after_commit))
        world.live()
        assert_all_is_well(world)
        empty(any_url)
