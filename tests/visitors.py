"""Visitors of a test shop: what their browsers say, and what the shop's server tells of them."""

import itertools
import json
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import select

from gateway.flow.events import receive_events
from gateway.flow.signals import read_posted, receive_signal, receive_withdrawal
from gateway.model.consent import Channel
from gateway.settings import DestinationSettings, Settings
from gateway.storage.tables import bodies, events
from tests.shops import Shop

_ids = itertools.count(1)


def a_session(number: int = 1) -> str:
    """A session id."""
    return f"session-{number:016d}"


def an_event(session: str | None = None, **changes: Any) -> dict[str, Any]:
    """A session event with a person in it."""
    return {
        "event": "view_item",
        "event_id": f"event-{next(_ids)}",
        "event_time": "2026-11-22T11:59:59Z",
        "session_id": session or a_session(),
        "customer_id": None,
        "user_data": {"email": "jan.novak@example.com"},
        "properties": {"currency": "EUR", "value": 19.99},
        "context": {"ip": "203.0.113.9", "user_agent": "Mozilla/5.0", "page_location": "https://shop.example/mug"},
    } | changes


def with_sinks(settings: Settings, **purposes: str) -> Settings:
    """The same settings with destinations of these names, each for one purpose."""
    sinks = tuple(
        DestinationSettings(
            id=name, url=f"https://{name}.example/collect", purposes=(purpose,), topics=("orders", "events")
        )
        for name, purpose in purposes.items()
    )
    return replace(settings, destinations=sinks)


@dataclass
class Visitor:
    """One visitor of a shop."""

    shop: Shop
    session: str = field(default_factory=a_session)

    def sends(self, *posted: dict[str, Any], **changes: Any) -> str | list[str]:
        """Have the shop's server post events; return what was done with each."""
        given = list(posted) or [an_event(self.session, **changes)]
        results = receive_events(self.shop.gateway.parts, "acme", json.dumps(given).encode())
        verdicts = [one.status.value for one in results]
        return verdicts if len(given) > 1 else verdicts[0]

    def says(self, *, sec_gpc: bool = False, **fields: Any) -> dict[str, str] | None:
        """Have the browser post a signal; return the states it is answered."""
        return self._post(Channel.BROWSER, {"session_id": self.session} | fields, sec_gpc=sec_gpc)

    def shows_banner(self, **fields: Any) -> dict[str, str] | None:
        return self.says(state="pending", **fields)

    def answers(self, *, marketing: bool | None, analytics: bool | None, **fields: Any) -> dict[str, str] | None:
        """Have the browser post an answer."""
        categories = {"marketing": marketing, "analytics": analytics}
        return self.says(state="answered", categories=categories, **fields)

    def grants(self, **fields: Any) -> dict[str, str] | None:
        return self.answers(marketing=True, analytics=True, **fields)

    def denies(self, **fields: Any) -> dict[str, str] | None:
        return self.answers(marketing=False, analytics=False, **fields)

    def is_said(self, **fields: Any) -> dict[str, str] | None:
        """Have the shop's server post a signal."""
        return self._post(Channel.SERVER, fields, sec_gpc=False)

    def withdraws(self, **fields: Any) -> None:
        """Have the shop's server post a withdrawal."""
        self.shop.clock.pass_by(milliseconds=1)
        receive_withdrawal(self.shop.gateway.parts, "acme", json.dumps(fields).encode())

    def _post(self, channel: Channel, body: dict[str, Any], *, sec_gpc: bool) -> dict[str, str] | None:
        self.shop.clock.pass_by(milliseconds=1)  # nothing happens at the very same time
        parts = self.shop.gateway.parts
        signal = read_posted(parts, json.dumps(body).encode(), channel=channel, sec_gpc=sec_gpc)
        states = receive_signal(parts, "acme", signal)
        return None if states is None else {category.value: state.value for category, state in states.items()}


def sent_events(shop: Shop) -> list[str]:
    """The ids of the events that left, in order."""
    return [payload["event_id"] for payload in shop.sender.payloads if "event_id" in payload]


def kept_bodies(shop: Shop) -> set[int]:
    """The ids of the bodies that are kept."""
    return shop.gateway.database.read(lambda connection: set(connection.execute(select(bodies.c.id)).scalars()))


def body_count(shop: Shop) -> int:
    """How many bodies are kept."""
    return len(kept_bodies(shop))


def event_rows(shop: Shop) -> list[dict[str, Any]]:
    """Every event that was recorded."""
    return shop.gateway.database.read(
        lambda connection: [dict(row) for row in connection.execute(select(events)).mappings()]
    )
