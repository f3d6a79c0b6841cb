"""What came in beside what left, masked until somebody who may look does, and logged."""

import re

from sqlalchemy import delete, update

from gateway.storage.people import Role
from gateway.storage.tables import bodies, deliveries
from tests.web.browsing import Pages

PERSONAL = ("jan.novak@example.com", "Novák", "Nov\\u00e1k", "+49 30 1234567", "LabGclid-AbC_123", "Teststraße")
REDACTED = "/admin/deliveries/4"
AS_IT_CAME = "/admin/deliveries/1"


def _struck(page: str) -> list[str]:
    return re.findall(r"<del>&#34;(\w+)&#34;", page)


def test_removed_fields_are_struck_out_where_they_came_in(told: Pages) -> None:
    page = told.as_role(Role.VIEWER).get(REDACTED).text
    assert {"email", "first_name", "phone", "order_key"} <= set(_struck(page))
    assert not {"total", "currency", "country"} & set(_struck(page))


def test_the_consent_object_is_shown_as_added(told: Pages) -> None:
    page = told.as_role(Role.VIEWER).get(REDACTED).text
    assert "<ins>&#34;consent&#34;: {</ins>" in page
    assert "<ins>&#34;marketing&#34;: false</ins>" in page


def test_personal_values_are_masked_for_everyone_at_first(told: Pages) -> None:
    for role in Role:
        for path in (REDACTED, AS_IT_CAME):
            page = told.as_role(role).get(path).text
            assert not [value for value in PERSONAL if value in page]
            assert "••••••" in page


def test_an_operator_reveals_with_a_click_that_is_logged(told: Pages) -> None:
    operator = told.as_role(Role.OPERATOR)
    page = operator.post(f"{REDACTED}/reveal").text
    assert "jan.novak@example.com" in page
    log = told.as_role(Role.OWNER).get("/admin/audit").text
    assert "revealed what is masked in delivery 4 of order 1042" in log
    assert "jan.novak" not in log


def test_a_viewer_cannot_reveal(told: Pages) -> None:
    viewer = told.as_role(Role.VIEWER)
    assert "Reveal" not in viewer.get(REDACTED).text
    assert viewer.post(f"{REDACTED}/reveal").status_code == 403


def test_a_body_that_was_refused_is_not_said_to_have_left(told: Pages) -> None:
    page = told.as_role(Role.VIEWER).get("/admin/deliveries/23").text
    assert ("SHA-256 of what was tried" in page, ">Was tried<" in page) == (True, True)
    assert ">Left<" not in page
    delivered = told.as_role(Role.VIEWER).get(REDACTED).text
    assert ("SHA-256 of what left" in delivered, ">Left<" in delivered) == (True, True)


def test_without_the_body_the_names_of_what_went_stay(told: Pages) -> None:
    database = told.story.gateway.database
    database.write(lambda connection: connection.execute(delete(bodies)))
    page = told.as_role(Role.VIEWER).get(REDACTED).text
    assert "The body is no longer kept" in page
    assert "<del><code>billing.email</code></del>" in page


def test_what_was_not_sent_stands_alone(told: Pages) -> None:
    page = told.as_role(Role.VIEWER).get("/admin/deliveries/5").text
    assert "Nothing left: it was decided not to send" in page
    assert page.count('<th scope="col">') == 1
    assert "<ins>" not in page


def test_a_body_of_a_lost_key_is_said_to_be_closed(told: Pages) -> None:
    database = told.story.gateway.database
    database.write(lambda connection: connection.execute(update(bodies).values(key_id="00000000")))
    page = told.as_role(Role.OPERATOR).get(REDACTED)
    assert page.status_code == 200
    assert "cannot be opened with the keys at hand" in page.text


def test_a_leak_names_what_was_found(told: Pages) -> None:
    database = told.story.gateway.database
    values = {"state": "leak", "detail": {"removed": ["billing.email"], "leaks": ["email at line_items[].name"]}}
    database.write(
        lambda connection: connection.execute(update(deliveries).where(deliveries.c.id == 4).values(**values))
    )
    page = told.as_role(Role.OPERATOR).get(REDACTED).text
    assert "Stopped: leak" in page
    assert "<code>email at line_items[].name</code>" in page
    assert "Try again" in page


def test_what_stopped_is_listed_with_the_reason(told: Pages) -> None:
    viewer, database = told.as_role(Role.VIEWER), told.story.gateway.database
    assert "answered 4" in viewer.get("/admin/deliveries?state=failed").text
    broken = {"reason": "internal_error", "word": None}
    database.write(lambda c: c.execute(update(deliveries).where(deliveries.c.state == "failed").values(broken)))
    assert "an error inside the gateway" in viewer.get("/admin/deliveries?state=failed").text
    gone = {"state": "cancelled", "reason": "destination_removed"}
    database.write(lambda c: c.execute(update(deliveries).where(deliveries.c.state == "failed").values(gone)))
    assert "the destination was removed" in viewer.get("/admin/deliveries?state=cancelled").text


def _moved(pages: Pages, delivery_id: int) -> None:
    """Let a delivery be one for a destination that the settings no longer name."""
    moved = update(deliveries).where(deliveries.c.id == delivery_id).values(destination_id="mailer")
    pages.story.gateway.database.write(lambda connection: connection.execute(moved))


def test_what_went_to_a_removed_destination_is_listed(told: Pages) -> None:
    viewer = told.as_role(Role.VIEWER)
    assert "mailer" not in viewer.get("/admin/deliveries").text
    _moved(told, 23)
    for query in ("state=failed", "destination=mailer"):
        page = viewer.get(f"/admin/deliveries?{query}").text
        assert ('<option value="mailer"' in page, "/admin/deliveries/23" in page) == (True, True)
    assert "mailer" not in viewer.get("/admin/deliveries?store=nordlicht").text


def test_what_went_to_a_removed_destination_is_not_tried_again(told: Pages) -> None:
    operator = told.as_role(Role.OPERATOR)
    assert "Try again" in operator.get("/admin/deliveries/23").text
    _moved(told, 23)
    assert "Try again" not in operator.get("/admin/deliveries/23").text
    operator.post("/admin/deliveries/act", {"verb": "retry", "id": [23]})
    assert [row["state"] for row in told.story.deliveries() if row["id"] == 23] == ["failed"]
