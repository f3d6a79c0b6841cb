"""What a shop gives to a renewal that it schedules itself."""

from gateway.model.decision import Strip
from gateway.redact.apply import Rules, Shape, redact

EVENT = {
    "event": "subscription_renewed",
    "event_id": "r1:1",
    "origin_order_id": "23",
    "properties": {
        "plan": "gold",
        "seats": {"count": 3, "label": "team"},
        "value": 19.9,
        "_fbp": "fb.1.1795300000000.1234567890",
        "note": {"click": "https://shop.example/?gclid=Cj0KCQiA1NebBhDDARIsAANiDD3abc"},
    },
}


def test_own_properties_stay_when_only_old_identifiers_go() -> None:
    redacted = redact(EVENT, shape=Shape.EVENT, strip=Strip(stale=True), rules=Rules())

    kept = redacted.payload["properties"]
    assert isinstance(kept, dict)
    assert kept["plan"] == "gold"
    assert kept["seats"] == {"count": 3, "label": "team"}
    assert kept["value"] == 19.9
    assert "_fbp" not in kept
    assert "Cj0KCQiA1NebBhDDARIsAANiDD3abc" not in str(kept)


def test_unknown_properties_go_when_something_is_denied() -> None:
    redacted = redact(EVENT, shape=Shape.EVENT, strip=Strip(stale=True, marketing=True, either=True), rules=Rules())

    kept = redacted.payload["properties"]
    assert isinstance(kept, dict)
    assert "plan" not in kept
    assert kept["value"] == 19.9
