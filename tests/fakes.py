"""Stand-ins for what is outside: time and the network."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.errors import DeliveryFailed
from gateway.model.delivery import OutboundRequest, Response

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class FixedClock:
    """Time that passes on command."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def pass_by(self, **duration: float) -> None:
        self.at += timedelta(**duration)


@dataclass
class RecordingSender:
    """Keeps every request; answers with the next of `answers`, else with `code`. A word fails the attempt."""

    code: int = 200
    answers: list[int | str] = field(default_factory=list)
    requests: list[OutboundRequest] = field(default_factory=list)

    def send(self, request: OutboundRequest) -> Response:
        answer = self.answers.pop(0) if self.answers else self.code
        if isinstance(answer, str):
            raise DeliveryFailed(answer)
        self.requests.append(request)
        return Response(status_code=answer, headers=(), body=b"")

    def close(self) -> None:
        """Nothing to let go of."""

    @property
    def bodies(self) -> list[bytes]:
        return [request.body for request in self.requests]

    @property
    def payloads(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]

    def headers(self, at: int = -1) -> dict[str, str]:
        return dict(self.requests[at].headers)
