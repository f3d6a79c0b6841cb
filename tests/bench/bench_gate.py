"""How long the gate takes for one order that is denied everything: `python tests/bench/bench_gate.py`."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import orjson

from gateway.decide.consent import OrderFacts, effective
from gateway.decide.policy import Case, decide
from gateway.flow.outbound import build_outbound
from gateway.model.consent import Category, Choice, Choices, Evidence, OrderConsent
from gateway.model.decision import Mode, Policy, Strip, UnknownRule
from gateway.model.order import Origin
from gateway.redact.apply import Rules, Shape, redact
from gateway.redact.proof import prove
from tests.bench.requests_file import FIRST
from tests.engine.orders import a_webhook

SAMPLES = Path(__file__).parent.parent / "samples" / "platforms"
ORDERS = (
    ("woocommerce", Shape.WOOCOMMERCE_ORDER, "016-*.body"),
    ("shopify", Shape.SHOPIFY_ORDER, "06-*.body"),
)
DENIED = Strip(marketing=True, analytics=True, either=True)
RULES = Rules(shop_hosts=frozenset({"127.0.0.1", "shop.example"}))
NOW = datetime(2026, 11, 22, tzinfo=UTC)
POLICY = Policy(mode=Mode.ANONYMIZE, unknown=UnknownRule.DENY)
CASE = Case(purposes=[Category.MARKETING, Category.ANALYTICS], origin=Origin.CHECKOUT)
DENIAL = Evidence(choices=Choices(marketing=Choice.DENIED, analytics=Choice.DENIED), captured_at=NOW)
NOTHING_GRANTED = OrderConsent(recorded=DENIAL, frozen_at=NOW)
ROUNDS = 2000


def best_microseconds(steps: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The best of many rounds of every step, in turns, so that what else runs slows all of them alike."""
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(ROUNDS):
        for name, work in steps.items():
            start = time.perf_counter()
            work()
            best[name] = min(best[name], (time.perf_counter() - start) * 1_000_000)
    return best


def gate_microseconds() -> float:
    """What the order of the other measures costs in the gate, denied everything."""
    body = a_webhook(FIRST, marketing=False).body
    payload = orjson.loads(body)

    def gate() -> None:
        known = effective(OrderFacts(consent=NOTHING_GRANTED), POLICY, NOW)
        decision = decide(POLICY, known, CASE, NOW)
        assert build_outbound(decision, payload, Shape.WOOCOMMERCE_ORDER, RULES).leaks == ()

    return best_microseconds({"gate": gate})["gate"]


def measure(platform: str, shape: Shape, pattern: str) -> None:
    """Print one line per step for one order."""
    body = next((SAMPLES / platform).glob(pattern)).read_bytes()
    payload = orjson.loads(body)
    redacted = redact(payload, shape=shape, strip=DENIED, rules=RULES)
    outbound = orjson.dumps(redacted.payload)
    assert prove(outbound, redacted.denied) == ()
    steps: dict[str, Callable[[], object]] = {
        "json.loads, to compare machines": lambda: json.loads(body),
        "redact": lambda: redact(payload, shape=shape, strip=DENIED, rules=RULES),
        "prove": lambda: prove(outbound, redacted.denied),
        "serialise": lambda: orjson.dumps(redacted.payload),
    }
    print(f"{platform}: {len(body)} bytes in, {len(outbound)} out, {len(redacted.denied)} values denied")
    for name, best in best_microseconds(steps).items():
        print(f"  {name:<32} {best:7.0f} us")


if __name__ == "__main__":
    for order in ORDERS:
        measure(*order)
