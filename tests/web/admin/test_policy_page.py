"""The policy page: every key explained, what-if before saving, every change a version."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.program import main
from gateway.settings import DEFAULT_POLICY
from gateway.storage.people import Role
from gateway.storage.policies import add_policy, newest_policy
from gateway.storage.reading.policies import ROWS
from gateway.storage.statements import Connection
from gateway.web.admin.policy_form import ALL_KEYS, BY_ORIGIN, read_policy_form, value_text
from tests.web.admin.test_pages import a_policy
from tests.web.browsing import Pages


def _newest(pages: Pages) -> dict[str, object]:
    found = pages.story.gateway.database.read(lambda connection: newest_policy(connection, "acme"))
    assert found is not None
    return found


def _words(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def test_every_key_of_the_policy_is_on_the_page() -> None:
    assert {key.name for key in ALL_KEYS} | {BY_ORIGIN} == set(DEFAULT_POLICY)


def test_every_key_is_explained_in_a_sentence() -> None:
    assert all(key.text.endswith(".") and len(key.text) > 40 for key in ALL_KEYS)


def test_a_form_becomes_the_values_of_a_policy() -> None:
    form = {name: str(value) for name, value in a_policy().items()}
    assert read_policy_form(form) == {
        **DEFAULT_POLICY,
        "mode": "suppress",
        "unknown": "deny",
        "hold_seconds": 120,
        "unknown_by_origin": {"admin": "allow"},
    }


def test_what_if_shows_what_would_change_and_saves_nothing(told: Pages) -> None:
    operator = told.as_role(Role.OPERATOR)
    before = told.story.deliveries()
    answer = operator.post("/admin/policy/acme/preview", a_policy(mode="anonymize"))
    text = _words(answer.text)
    assert "Mode Suppress would become Anonymize" in text
    assert "9 orders" in text
    assert re.search(r"newsletter \d+ \d+ \d+ \d+ \d+ \d+", text)
    assert _newest(told)["version"] == 2
    assert told.story.deliveries() == before


_SETTINGS = """
database.url = "{url}"
security.key = "{key}"
worker.allow_private_destinations = true
stores = [{{id = "acme", platform = "woocommerce", secrets = ["shop-secret"]}}]
[[destinations]]
id = "container"
kind = "webhook"
url = "https://container.example/in"
purposes = ["marketing", "analytics"]
[[destinations]]
id = "newsletter"
kind = "webhook"
url = "https://newsletter.example/in"
purposes = ["marketing"]
[[destinations]]
id = "statistics"
kind = "webhook"
url = "https://statistics.example/in"
purposes = ["analytics"]
"""


def _simulated(pages: Pages, folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    settings = pages.story.settings
    written = folder / "settings.toml"
    written.write_text(_SETTINGS.format(url=settings.database.url, key=settings.security.key), encoding="utf-8")
    asked = ["simulate", "--settings", str(written), "--store", "acme", "--mode", "anonymize", "--unknown", "deny"]
    assert main([*asked, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def _tally(one: dict[str, Any]) -> str:
    """A destination's row as the page shows it: both numbers where they differ."""
    kinds = ("as_is", "redacted", "suppressed")
    pairs = [(one["before"][kind], one["after"][kind]) for kind in kinds]
    cells = [f"{then}" if then == now else f"{then} {now}" for then, now in pairs]
    return " ".join([one["destination"], *cells, str(one["changed"])])


def test_what_if_and_the_command_line_agree(told: Pages, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = _words(told.as_role(Role.OWNER).post("/admin/policy/acme/preview", a_policy(mode="anonymize")).text)
    said = _simulated(told, tmp_path, capsys)
    assert f"{said['changed_orders']} orders would leave differently" in text
    assert [one["destination"] for one in said["destinations"]] == ["container", "newsletter", "statistics"]
    for one in said["destinations"]:
        assert _tally(one) in text


def test_saving_makes_a_version_and_the_history_tells_of_it(told: Pages) -> None:
    owner = told.as_role(Role.OWNER)
    assert owner.post("/admin/policy/acme/save", a_policy(mode="anonymize", hold_seconds="0")).status_code == 303
    newest = _newest(told)
    assert (newest["version"], newest["changed_by"]) == (3, "olivia")
    text = _words(owner.get("/admin/policy/acme").text)
    assert "Version 3 by olivia" in text
    assert "Mode: Suppress became Anonymize" in text
    assert "Wait for an answer: 120 seconds became 0 seconds" in text
    assert "changed the policy acme" in _words(owner.get("/admin/audit").text)


def test_a_long_history_does_not_call_its_oldest_line_the_first_version(told: Pages) -> None:
    def job(connection: Connection) -> None:
        for seconds in range(ROWS):
            add_policy(connection, "acme", {**DEFAULT_POLICY, "hold_seconds": seconds}, "olivia", told.story.clock())

    told.story.gateway.database.write(job)
    text = _words(told.as_role(Role.VIEWER).get("/admin/policy/acme").text)
    assert "Older versions are kept, but not shown" in text
    assert "The first version" not in text


def test_the_new_policy_decides_the_next_order(told: Pages) -> None:
    told.as_role(Role.OWNER).post("/admin/policy/acme/save", a_policy(mode="off"))
    shop = told.story
    shop.post(shop.woo(1060, {"analytics": False, "marketing": False}))
    shop.dispatch()
    last = [row for row in shop.deliveries() if row["order_id"] == "1060"]
    assert {row["reason"] for row in last} == {"mode_off"}


def test_an_operator_may_look_but_not_save(told: Pages) -> None:
    operator = told.as_role(Role.OPERATOR)
    assert operator.post("/admin/policy/acme/save", a_policy(mode="off")).status_code == 403
    assert _newest(told)["version"] == 2


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"mode": "sometimes"}, "Choose one of the answers"),
        ({"hold_seconds": "-1"}, "Must be a whole number from 0 to 86,400"),
        ({"event_ttl_seconds": "5"}, "Must be a whole number from 10 to 900"),
        ({"consent_max_age_days": "1e3"}, "Must be a whole number"),
        ({"hold_seconds": "٣"}, "Must be a whole number"),
        ({"based_on": "1"}, "Somebody changed the policy meanwhile"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_saved(told: Pages, changes: dict[str, object], fault: str) -> None:
    answer = told.as_role(Role.OWNER).post("/admin/policy/acme/save", a_policy(**{"mode": "off", **changes}))
    assert answer.status_code == 400
    assert fault in _words(answer.text)
    assert _newest(told)["version"] == 2


def test_saving_the_values_in_force_makes_no_version(told: Pages) -> None:
    told.as_role(Role.OWNER).post("/admin/policy/acme/save", a_policy())
    assert _newest(told)["version"] == 2


def test_what_past_orders_cannot_show_is_said(told: Pages) -> None:
    answer = told.as_role(Role.OWNER).post("/admin/policy/acme/preview", a_policy(hold_seconds="5"))
    assert "acts on what comes from then on" in _words(answer.text)


def test_a_store_without_orders_can_be_looked_at(pages: Pages) -> None:
    answer = pages.as_role(Role.OWNER).post("/admin/policy/nordlicht/preview", a_policy())
    assert "There is no order to look at yet" in _words(answer.text)


def test_the_history_names_how_orders_were_made_as_the_form_does(shown: Pages) -> None:
    assert "Made by staff: allow" in shown.as_role(Role.VIEWER).get("/admin/policy/acme").text


def test_values_agree_with_their_units() -> None:
    assert [value_text("hold_seconds", value) for value in (0, 1, 3600)] == ["0 seconds", "1 second", "3,600 seconds"]
