"""Events that servers post: one object or an array, each read on its own."""

import re
from collections.abc import Mapping
from datetime import datetime
from itertools import chain
from typing import Final

from gateway.errors import BodyMalformed, RequestInvalid
from gateway.ingest.body import read_body
from gateway.ingest.fields import email_of, instant_of, object_of
from gateway.ingest.form import Form
from gateway.model.session import Event

MOST_EVENTS: Final = 500
_NAME: Final = re.compile(r"[^\x00-\x20\x7f](?:[^\x00-\x1f\x7f]{0,98}[^\x00-\x20\x7f])?")
_EVENT_ID: Final = re.compile(r"[^\x00-\x1f\x7f]{1,255}")
_GUESTS: Final = (0, "0")  # how WooCommerce writes that nobody is signed in
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
#: How destinations call the address of a person, or its hash; these are looked for first.
_ADDRESSES: Final = ("email", "$email", "email_address", "em", "sha256_email_address", "hashed_email")
_OBJECTS: Final = ("user_data", "properties", "context")


def read_events(body: bytes) -> list[object]:
    """Return what a request holds, an object or an array of at most MOST_EVENTS; raises `RequestInvalid`."""
    try:
        # As a member of an object the body is read like every other: numbers as they are written, depth bounded.
        posted = read_body(b'{"events":' + (body.strip() or b"null") + b"}")
    except BodyMalformed as error:
        raise RequestInvalid({"body": [str(error)]}) from error
    events = posted.get("events")
    if set(posted) != {"events"} or not isinstance(events, dict | list):
        raise RequestInvalid({"body": ["Must be an event, or an array of events."]})
    if isinstance(events, list) and len(events) > MOST_EVENTS:
        raise RequestInvalid({"body": [f"Must hold at most {MOST_EVENTS} events."]})
    return events if isinstance(events, list) else [events]


def read_event(given: object) -> Event:
    """Read one event; raises `RequestInvalid` with every mistake by its field."""
    if not isinstance(given, dict):
        raise RequestInvalid({"event": ["Must be an object."]})
    form = Form(given)
    event = Event(
        event=_matching(form, "event", _NAME, "Must be a name of 1 to 100 characters."),
        event_id=_matching(form, "event_id", _EVENT_ID, "Must be an id of 1 to 255 characters."),
        event_time=_time(form, given),
        session_id=form.session_id(),
        customer_id=None if given.get("customer_id") in _GUESTS else form.id("customer_id"),
        email=_email(given),
        payload=given,
    )
    for name in _OBJECTS:
        form.object(name)
    if not event.session_id and not event.customer_id:
        form.wrong("session_id", "Needed, unless customer_id names whom this is about.")
    form.finish()
    return event


def _matching(form: Form, name: str, shape: re.Pattern[str], why: str) -> str:
    text = form.text(name)
    if not shape.fullmatch(text):
        form.wrong(name, why if form.has(name) else "Needed.")
    return text


def _email(given: Mapping[str, object]) -> str | None:
    """Return the first address that the event names, or the hash of one; the person's own data come first."""
    user, properties = object_of(given.get("user_data")), object_of(given.get("properties"))
    traits = [object_of(place.get("traits")) for place in (given, object_of(given.get("context")), properties)]
    places = (user, *traits, properties, given)
    usual = (place[name] for place in places for name in _ADDRESSES if name in place)
    others = (value for place in places for name, value in place.items() if "mail" in name.lower())
    return next((found for value in chain(usual, others) if (found := _address(value))), None)


def _address(value: object) -> str | None:
    first = value[0] if isinstance(value, list) and value else value
    text = first.strip().lower() if isinstance(first, str) else ""
    return text if _SHA256.fullmatch(text) else email_of(text)


def _time(form: Form, given: Mapping[str, object]) -> datetime | None:
    at = instant_of(given.get("event_time"))
    if form.has("event_time") and at is None:
        form.wrong("event_time", "Must be a time like 2026-11-21T15:54:04Z.")
    return at
