"""Every row of the golden table, run as it stands."""

import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.decide.consent import OrderFacts, effective
from gateway.decide.policy import Case, decide
from gateway.model.consent import Category, Choice, Choices, Evidence, OrderConsent
from gateway.model.decision import Action, Mode, Policy, UnknownRule
from gateway.model.order import Origin

NOW = datetime(2026, 11, 22, tzinfo=UTC)
TABLE = Path(__file__).parents[1] / "samples" / "golden" / "decision_table.csv"
CHOICES = {"granted": Choice.GRANTED, "denied": Choice.DENIED, "null": Choice.UNKNOWN}
ROWS = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()))


def flag(value: bool) -> str:
    return "yes" if value else "no"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(list(row.values())[:7]))
def test_decision_is_as_the_table_says(row: dict[str, str]) -> None:
    policy = Policy(mode=Mode(row["mode"]), unknown=UnknownRule(row["unknown"]))
    choices = Choices(marketing=CHOICES[row["marketing"]], analytics=CHOICES[row["analytics"]])
    recorded = Evidence(choices=choices, captured_at=NOW) if row["record"] == "yes" else None
    known = effective(OrderFacts(consent=OrderConsent(recorded=recorded, frozen_at=NOW)), policy, NOW)
    purposes = [Category(word) for word in row["purposes"].split("+")]
    case = Case(purposes=purposes, identity_required=row["identity_required"] == "yes", origin=Origin.CHECKOUT)

    decision = decide(policy, known, case, NOW)

    assert decision.action.value == row["action"]
    assert decision.reason.value == row["reason"]
    applied = {c: str(decision.applied[c]).lower() if c in decision.applied else "" for c in Category}
    assert applied[Category.MARKETING] == row["applied_marketing"]
    assert applied[Category.ANALYTICS] == row["applied_analytics"]
    if decision.action is not Action.SUPPRESS:
        assert flag(decision.strip.marketing) == row["strip_marketing"]
        assert flag(decision.strip.analytics) == row["strip_analytics"]
        assert flag(decision.strip.either) == row["strip_either"]
        assert flag(decision.consent is not None) == row["consent_attached"]


def test_table_is_whole() -> None:
    assert len(ROWS) == 360
