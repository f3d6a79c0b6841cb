"""A paused destination says so where its deliveries are listed, and an operator opens it again."""

from gateway.storage.pausing import pause, read_pauses
from gateway.storage.people import Role
from tests.web.browsing import Pages


def _pause(pages: Pages, destination_id: str = "container") -> None:
    database = pages.story.gateway.database
    now = database.now()
    database.write(lambda connection: pause(connection, destination_id, reason="gone", now=now))


def _paused(pages: Pages) -> list[str]:
    return [one.destination_id for one in pages.story.gateway.database.read(read_pauses)]


def test_a_pause_is_told_with_its_reason(told: Pages) -> None:
    assert "is paused" not in told.as_role(Role.VIEWER).get("/admin/deliveries").text
    _pause(told)
    page = told.as_role(Role.VIEWER).get("/admin/deliveries").text
    assert "<strong>container is paused</strong>" in page
    assert "answered 410" in page
    assert "Send to it again" not in page


def test_an_operator_opens_it_again_and_that_is_logged(told: Pages) -> None:
    _pause(told)
    operator = told.as_role(Role.OPERATOR)
    assert "Send to it again" in operator.get("/admin/deliveries").text
    operator.post("/admin/deliveries/resume", {"store": "acme", "destination": "container"})
    assert "container gets deliveries again." in operator.get("/admin/deliveries").text
    assert _paused(told) == []
    assert "had deliveries sent again to container" in told.as_role(Role.OWNER).get("/admin/audit").text


def test_a_viewer_opens_nothing(told: Pages) -> None:
    _pause(told)
    viewer = told.as_role(Role.VIEWER)
    answer = viewer.post("/admin/deliveries/resume", {"store": "acme", "destination": "container"})
    assert (answer.status_code, _paused(told)) == (403, ["container"])


def test_only_destinations_of_a_store_that_one_sees_are_opened(told: Pages) -> None:
    _pause(told, "elsewhere")
    operator = told.as_role(Role.OPERATOR)
    for store in ("acme", "nowhere"):
        answer = operator.post("/admin/deliveries/resume", {"store": store, "destination": "elsewhere"})
        assert answer.status_code == 404
    assert _paused(told) == ["elsewhere"]
