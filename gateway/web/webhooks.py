"""Store webhooks in."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from gateway.flow.gateway import Gateway
from gateway.web.front import answer_webhook


def make_webhooks(gateway: Gateway) -> Blueprint:
    """Return `POST /webhooks/{store_id}`, which the front answers; here it is known, and other methods are refused."""
    webhooks = Blueprint("webhooks", __name__)

    @webhooks.post("/webhooks/<store_id>", provide_automatic_options=False)
    def receive(store_id: str) -> ResponseReturnValue:
        code, answer, headers = answer_webhook(gateway, store_id, request.environ)
        return answer, code, headers

    return webhooks
