"""Whatever ends a delivery, it is counted, once, under the state in which it ended."""

from collections import Counter

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from gateway.model.delivery import DeliveryState
from gateway.storage import waiting
from gateway.storage.events import expire_events
from gateway.storage.outcomes import Settled
from gateway.storage.tables import deliveries
from tests.shops import ALL, NONE, Shop, a_woo_order, an_entry, open_shop, settings_for
from tests.visitors import Visitor

ENDED = {"delivered", "suppressed", "expired", "cancelled", "failed", "leak"}


def counted(shop: Shop) -> Counter[str]:
    families = text_string_to_metric_families(shop.gateway.telling.metrics.render().decode())
    samples = [one for family in families for one in family.samples if one.name == "gateway_deliveries_total"]
    found = {one.labels["state"]: int(one.value) for one in samples if one.labels["state"] in ENDED}
    return Counter(found)


def stored(shop: Shop) -> Counter[str]:
    query = select(deliveries.c.state).where(deliveries.c.finished_at.is_not(None))
    return Counter(shop.gateway.database.read(lambda c: list(c.execute(query).scalars())))


def test_every_delivery_that_ended_is_counted(any_url: str) -> None:
    shop = open_shop(settings_for(any_url))
    visitor = Visitor(shop)
    shop.post(a_woo_order(1, an_entry(ALL)))
    shop.post(a_woo_order(2, an_entry(NONE)))
    shop.post(a_woo_order(3, an_entry(ALL)))
    visitor.withdraws(order_id="3")  # cancelled while it is due
    visitor.shows_banner()
    visitor.sends()  # never answered: it expires
    shop.dispatch()
    shop.clock.pass_by(days=1)
    expire_events(shop.gateway.database)
    visitor.denies()
    visitor.sends()  # decided against when it comes in
    assert stored(shop) == {"delivered": 1, "suppressed": 2, "cancelled": 1, "expired": 1}
    assert counted(shop) == stored(shop)
    shop.gateway.close()


def test_what_is_stopped_while_it_is_being_sent_is_counted_when_it_ends(any_url: str) -> None:
    shop = open_shop(settings_for(any_url))
    shop.sender.code = 503
    shop.post(a_woo_order(1, an_entry(ALL)))
    claimed = shop._claimed()
    ids = [one.id for one in claimed]
    shop.gateway.database.write(
        lambda c: waiting.cancel(
            c, ids, state=DeliveryState.CANCELLED, reason="operator", drop_bodies=False, now=shop.clock()
        )
    )
    assert counted(shop) == {}
    prepared = [one for one in shop.gateway.prepare(claimed) if not isinstance(one, Settled)]
    shop._settle([shop.gateway.send(one) for one in prepared])
    assert (stored(shop), counted(shop)) == ({"cancelled": 1}, {"cancelled": 1})
    shop.gateway.close()
