"""Users and one's own account."""

import pytest

from gateway.storage.people import Role
from tests.web.browsing import Pages
from tests.web.seed import PASSWORD


def test_an_owner_changes_a_role_and_it_is_logged(pages: Pages) -> None:
    owner, vera = pages.as_role(Role.OWNER), pages.people[Role.VIEWER]
    owner.post(f"/admin/users/{vera.user_id}/change", {"role": "operator", "store": ["acme"]})
    again = pages.as_role(Role.VIEWER)
    assert "operator" in again.get("/admin/account").text
    assert "changed the user vera" in owner.get("/admin/audit").text


def test_the_last_owner_stays(pages: Pages) -> None:
    owner, olivia = pages.as_role(Role.OWNER), pages.people[Role.OWNER]
    for path, form in (
        (f"/admin/users/{olivia.user_id}/change", {"role": "viewer"}),
        (f"/admin/users/{olivia.user_id}/change", {"role": "owner", "store": ["acme"]}),
        (f"/admin/users/{olivia.user_id}/disable", {"disabled": "yes"}),
    ):
        answer = owner.post(path, form)
        assert answer.status_code == 400
        assert "Is the last owner of every store" in answer.text


def test_who_is_shut_out_is_out_at_once(pages: Pages) -> None:
    owner, viewer = pages.as_role(Role.OWNER), pages.as_role(Role.VIEWER)
    owner.post(f"/admin/users/{pages.people[Role.VIEWER].user_id}/disable", {"disabled": "yes"})
    assert viewer.get("/admin/orders").status_code == 302
    assert pages.browser().sign_in("vera").status_code == 401


@pytest.mark.parametrize("name", ["", "Olivia", "<script>", " ", "x" * 81])
def test_a_bad_name_adds_nobody(pages: Pages, name: str) -> None:
    assert pages.as_role(Role.OWNER).post("/admin/users/add", {"name": name, "role": "viewer"}).status_code == 400


def test_one_changes_ones_password_with_the_present_one(pages: Pages) -> None:
    elsewhere, here = pages.as_role(Role.VIEWER), pages.as_role(Role.VIEWER)
    form = {"current": "wrong", "password": "another long phrase"}
    assert here.post("/admin/account/password", form).status_code == 400
    assert here.post("/admin/account/password", form | {"current": PASSWORD}).status_code == 303
    assert here.get("/admin/orders").status_code == 200
    assert elsewhere.get("/admin/orders").status_code == 302


def test_times_are_shown_in_the_chosen_zone(told: Pages) -> None:
    viewer = told.as_role(Role.VIEWER)
    viewer.post("/admin/account/zone", {"zone": "America/New_York"})
    assert "18 Nov 2026, 06:58:25 EST (11:58:25 UTC)" in viewer.get("/admin/orders/acme/1042").text.replace(
        "\u00a0", " "
    )


def test_an_unknown_zone_is_refused(pages: Pages) -> None:
    assert pages.as_role(Role.VIEWER).post("/admin/account/zone", {"zone": "../etc/passwd"}).status_code == 400


def test_the_audit_log_is_narrowed_to_one_person(told: Pages) -> None:
    owner = told.as_role(Role.OWNER)
    owner.post("/admin/find", {"text": "nobody@example.com"})
    assert "searched for an e-mail address" in owner.get("/admin/audit?actor=olivia").text
    assert "searched for an e-mail address" not in owner.get("/admin/audit?actor=oscar").text
