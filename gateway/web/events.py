"""Events in, from a store's server."""

from http import HTTPStatus

from flask import Blueprint
from flask.typing import ResponseReturnValue

from gateway.flow.events import receive_events
from gateway.flow.gateway import Gateway
from gateway.web.access import store_token
from gateway.web.posted import posted_body


def make_events(gateway: Gateway) -> Blueprint:
    """Return `POST /api/v1/stores/{store_id}/events`: one event or an array, a result for each."""
    events = Blueprint("events", __name__, url_prefix="/api/v1/stores/<store_id>")

    @events.post("/events")
    @store_token(gateway)
    def receive(store_id: str) -> ResponseReturnValue:
        results = receive_events(gateway.parts, store_id, posted_body(gateway.settings.web.max_body_bytes))
        return {"results": [one.as_json for one in results]}, HTTPStatus.ACCEPTED

    return events
