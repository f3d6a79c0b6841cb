"""Store webhooks where no front stands before the application, and the answer to other methods."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from gateway.errors import BodyTooLarge
from gateway.flow.gateway import Gateway
from gateway.web.front import accepted, refused
from gateway.web.posted import posted_body


def make_webhooks(gateway: Gateway) -> Blueprint:
    """Return `POST /webhooks/{store_id}`, which the front answers; here it is known, and other methods are refused."""
    webhooks = Blueprint("webhooks", __name__)

    @webhooks.post("/webhooks/<store_id>", provide_automatic_options=False)
    def receive(store_id: str) -> ResponseReturnValue:
        try:
            receipt = gateway.receive_webhook(store_id, dict(request.headers), _body(gateway, store_id))
        except Exception as error:  # noqa: BLE001 - told apart in one place
            return refused(error)
        return accepted(receipt)

    return webhooks


def _body(gateway: Gateway, store_id: str) -> bytes:
    if gateway.settings.store(store_id) is None:
        return b""
    try:
        return posted_body(gateway.settings.web.max_body_bytes)
    except BodyTooLarge as error:
        gateway.telling.refused(store_id, error)
        raise
