"""Retry and cancel ask once, do what they said, and are logged."""

import re

import pytest

from gateway.storage.people import Role
from tests.web.browsing import Browser, Pages

FAILED, HELD, DELIVERED = 23, 43, 1


def _state(pages: Pages, delivery_id: int) -> str:
    return next(str(row["state"]) for row in pages.story.deliveries() if row["id"] == delivery_id)


def _asked(browser: Browser, **form: object) -> list[str]:
    browser.get("/admin/deliveries")
    page = browser.post("/admin/deliveries/ask", form).text
    return re.findall(r'name="id" value="(\d+)"', page)


def test_asking_changes_nothing(told: Pages) -> None:
    operator = told.as_role(Role.OPERATOR)
    assert _asked(operator, verb="retry", id=[FAILED]) == [str(FAILED)]
    assert _state(told, FAILED) == "failed"


def test_a_failed_delivery_is_tried_again_once_confirmed(told: Pages) -> None:
    operator = told.as_role(Role.OPERATOR)
    chosen = _asked(operator, verb="retry", id=[FAILED])
    answer = operator.post("/admin/deliveries/act", {"verb": "retry", "id": chosen, "back": "/admin/deliveries/23"})
    assert answer.headers["Location"] == "/admin/deliveries/23"
    assert _state(told, FAILED) == "due"
    told.story.dispatch()
    assert _state(told, FAILED) == "delivered"
    assert "oscar" in (log := told.as_role(Role.OWNER).get("/admin/audit").text)
    assert "tried again delivery 23" in log


def test_what_waits_is_cancelled_once_confirmed(told: Pages) -> None:
    operator = told.as_role(Role.OPERATOR)
    chosen = _asked(operator, verb="cancel", id=[HELD])
    operator.post("/admin/deliveries/act", {"verb": "cancel", "id": chosen})
    assert _state(told, HELD) == "cancelled"
    assert "an operator cancelled it" in operator.get("/admin/orders/acme/1056").text


def test_only_what_fits_is_asked_about(told: Pages) -> None:
    operator = told.as_role(Role.OPERATOR)
    assert _asked(operator, verb="retry", id=[FAILED, DELIVERED, HELD]) == [str(FAILED)]
    assert _asked(operator, verb="cancel", id=[FAILED, DELIVERED, HELD]) == [str(HELD)]


def test_what_is_delivered_stays_so_whatever_is_posted(told: Pages) -> None:
    operator = told.as_role(Role.OPERATOR)
    for verb in ("retry", "cancel"):
        operator.post("/admin/deliveries/act", {"verb": verb, "id": [DELIVERED]})
    assert _state(told, DELIVERED) == "delivered"


def test_a_time_range_of_a_destination_is_chosen(told: Pages) -> None:
    operator = told.as_role(Role.OPERATOR)
    form = {"verb": "cancel", "scope": "range", "store": "acme", "destination": "container", "state": "held"}
    inside = _asked(operator, since="2026-11-21T00:00", until="2026-11-22T00:00", **form)
    outside = _asked(operator, since="2026-11-20T00:00", until="2026-11-21T00:00", **form)
    assert inside == ["42"]
    assert outside == []


def test_a_viewer_can_do_neither(told: Pages) -> None:
    viewer = told.as_role(Role.VIEWER)
    assert "Try again" not in viewer.get("/admin/deliveries").text
    assert viewer.post("/admin/deliveries/act", {"verb": "cancel", "id": [HELD]}).status_code == 403
    assert _state(told, HELD) == "held"


def test_the_way_back_stays_inside(told: Pages) -> None:
    operator = told.as_role(Role.OPERATOR)
    answer = operator.post("/admin/deliveries/act", {"verb": "cancel", "id": [HELD], "back": "https://evil.example"})
    assert answer.headers["Location"] == "/admin/deliveries"


@pytest.mark.parametrize(
    ("verb", "chosen", "told_of"),
    [
        ("cancel", [FAILED], "Only what still waits can be cancelled."),
        (
            "retry",
            [DELIVERED],
            "Only what failed, was stopped or waits for its turn can be tried again, at a destination that is there.",
        ),
        ("retry", [], "Nothing was chosen."),
    ],
)
def test_choosing_what_does_not_fit_says_what_would(told: Pages, verb: str, chosen: list[int], told_of: str) -> None:
    operator = told.as_role(Role.OPERATOR)
    operator.post("/admin/deliveries/ask", {"verb": verb, "scope": "selection", "id": chosen})
    assert told_of in operator.get("/admin/deliveries").text
