"""What a shop would write instead: verify, strip and forward inside the request, and keep nothing.

It runs on gunicorn, as such a view usually does: `gunicorn "tests.bench.relay:build('http://...')"`.
"""

import base64
import hashlib
import hmac
import json
import threading
from typing import Any

import requests
from flask import Flask, Response, request

SECRET = b"engine-secret"
CONTACT = (
    "first_name",
    "last_name",
    "company",
    "address_1",
    "address_2",
    "city",
    "state",
    "postcode",
    "email",
    "phone",
)
CLICK_IDS = ("_fbp", "_fbc", "_gcl_au", "gclid", "fbclid", "msclkid", "ttclid", "_ttp")
ANALYTICS = ("_ga", "_wc_order_attribution_session_entry", "_wc_order_attribution_user_agent")
FLAT = ("customer_id", "customer_ip_address", "customer_user_agent", "customer_note", "order_key", "transaction_id")


def strip(order: dict[str, Any], consent: dict[str, bool]) -> dict[str, Any]:
    """Take out what is not consented to, and attach the consent."""
    if not consent["marketing"]:
        for part in ("billing", "shipping"):
            order[part] = {key: value for key, value in order[part].items() if key not in CONTACT}
        for key in FLAT:
            order.pop(key, None)
    denied: tuple[str, ...] = CLICK_IDS if not consent["marketing"] else ()
    denied += ANALYTICS if not consent["analytics"] else ()
    order["meta_data"] = [row for row in order["meta_data"] if row["key"] not in {*denied, "_consent_gateway"}]
    return order | {"consent": {"categories": consent}}


def consent_of(order: dict[str, Any]) -> dict[str, bool]:
    """Read the answer that the checkout stored on the order."""
    for row in order["meta_data"]:
        if row["key"] == "_consent_gateway":
            given = json.loads(row["value"])["categories"]
            return {"marketing": bool(given.get("marketing")), "analytics": bool(given.get("analytics"))}
    return {"marketing": False, "analytics": False}


def build(url: str) -> Flask:
    """Return the relay."""
    app, local = Flask("relay"), threading.local()

    @app.post("/webhooks/<_>")
    def relay(_: str) -> Response:
        body = request.get_data()
        signature = base64.b64encode(hmac.new(SECRET, body, hashlib.sha256).digest()).decode()
        if not hmac.compare_digest(signature, request.headers.get("X-WC-Webhook-Signature", "")):
            return Response(status=401)
        order = json.loads(body)
        if not hasattr(local, "session"):
            local.session = requests.Session()
        answer = local.session.post(url, json=strip(order, consent_of(order)), timeout=10)
        return Response(status=200 if answer.ok else 502)

    return app
