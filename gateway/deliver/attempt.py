"""One attempt at one delivery."""

from datetime import datetime
from typing import Protocol

from gateway.deliver.destination import DestinationKind
from gateway.errors import DeliveryFailed
from gateway.model.delivery import Destination, OutboundRequest, Outcome, OutcomeKind, Parcel, Response


class Door(Protocol):
    """The way to the network."""

    def send(self, request: OutboundRequest) -> Response:
        """Send and return the answer, whatever its status code; raises DeliveryFailed when none came."""
        ...

    def close(self) -> None:
        """Let go of every connection."""
        ...


def attempt(sender: Door, kind: DestinationKind, destination: Destination, parcel: Parcel, now: datetime) -> Outcome:
    """Build, send and read; a failure of the network is an outcome too."""
    try:
        response = sender.send(kind.build_request(destination, parcel, now))
    except DeliveryFailed as failure:
        return Outcome(kind=OutcomeKind.REFUSED if failure.permanent else OutcomeKind.RETRY, word=failure.word)
    return kind.read_response(response, now)
