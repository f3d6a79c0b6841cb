"""One attempt: every end of it is an outcome."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.deliver.attempt import attempt
from gateway.deliver.destinations import DESTINATION_KINDS
from gateway.errors import DeliveryFailed
from gateway.model.delivery import Destination, OutboundRequest, Outcome, OutcomeKind, Parcel, Response

NOW = datetime(2026, 11, 21, 15, 54, 4, tzinfo=UTC)
WEBHOOK = DESTINATION_KINDS["webhook"]
DESTINATION = Destination(destination_id="container", kind="webhook", url="https://sgtm.example/", purposes=())
PARCEL = Parcel(webhook_id="msg_2f", store_id="acme", topic="order.updated", attempt=3, body=b"{}")


class RecordingDoor:
    """Answers as told, and keeps what was sent."""

    def __init__(self, ending: Response | DeliveryFailed) -> None:
        self.ending = ending
        self.sent: list[OutboundRequest] = []

    def send(self, request: OutboundRequest) -> Response:
        self.sent.append(request)
        if isinstance(self.ending, DeliveryFailed):
            raise self.ending
        return self.ending

    def close(self) -> None:
        """Nothing to let go of."""


def test_answer_is_read_by_the_kind() -> None:
    door = RecordingDoor(Response(status_code=429, headers=(("Retry-After", "9"),), body=b""))
    outcome = attempt(door, WEBHOOK, DESTINATION, PARCEL, NOW)
    assert outcome == Outcome(kind=OutcomeKind.RETRY, word="http_429", status_code=429, retry_after_seconds=9)
    assert door.sent == [WEBHOOK.build_request(DESTINATION, PARCEL, NOW)]


@pytest.mark.parametrize(("permanent", "kind"), [(False, OutcomeKind.RETRY), (True, OutcomeKind.REFUSED)])
def test_failure_of_the_network_is_an_outcome(permanent: bool, kind: OutcomeKind) -> None:
    door = RecordingDoor(DeliveryFailed("connect_timeout", permanent=permanent))
    assert attempt(door, WEBHOOK, DESTINATION, PARCEL, NOW) == Outcome(kind=kind, word="connect_timeout")


@pytest.mark.parametrize(("code", "kind"), [(204, OutcomeKind.DELIVERED), (410, OutcomeKind.REFUSED)])
def test_status_decides_whatever_became_of_the_body(code: int, kind: OutcomeKind) -> None:
    door = RecordingDoor(Response(status_code=code, headers=(), body=b"", broken="cut_off"))
    assert attempt(door, WEBHOOK, DESTINATION, PARCEL, NOW).kind is kind


def test_request_that_cannot_be_built_is_an_outcome_and_nothing_is_sent() -> None:
    door = RecordingDoor(Response(status_code=200, headers=(), body=b""))
    outcome = attempt(door, WEBHOOK, replace(DESTINATION, secret="whsec_!"), PARCEL, NOW)
    assert (outcome, door.sent) == (Outcome(kind=OutcomeKind.RETRY, word="secret_invalid"), [])
