"""Requests as the server hands them to the application, and what it is given back."""

import asyncio
import json
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.web.front import Front

GONE: dict[str, Any] = {"type": "http.disconnect"}


def piece(body: bytes, *, is_last: bool = False) -> dict[str, Any]:
    """A part of a body."""
    return {"type": "http.request", "body": body, "more_body": not is_last}


def pieces(body: bytes, size: int) -> list[dict[str, Any]]:
    """A body in parts."""
    return [*(piece(body[at : at + size]) for at in range(0, len(body), size)), piece(b"", is_last=True)]


@dataclass
class Asked:
    """One request; `messages` come one by one as they are asked for, and then nothing ever again."""

    path: str = "/webhooks/acme"
    headers: Iterable[tuple[str, str]] = ()
    messages: Sequence[dict[str, Any]] = ()
    method: str = "POST"
    query: str = ""
    client: tuple[str, int] | None = ("192.0.2.1", 40_000)
    sent: list[dict[str, Any]] = field(default_factory=list)
    taken: int = 0

    @property
    def scope(self) -> dict[str, Any]:
        return {
            "type": "http",
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": self.query.encode(),
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers],
            "client": self.client,
            "server": ("127.0.0.1", "8080"),
        }

    async def receive(self) -> dict[str, Any]:
        if self.taken == len(self.messages):
            await asyncio.Event().wait()
        self.taken += 1
        return self.messages[self.taken - 1]

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def of(self, front: Front) -> Awaitable[None]:
        """Have the application answer it."""
        return front(self.scope, self.receive, self.send)

    @property
    def code(self) -> int:
        code: int = self.sent[0]["status"]
        return code

    @property
    def told(self) -> Any:
        return json.loads(self.sent[1]["body"])

    @property
    def answer_headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}


def a_post(body: bytes, headers: Mapping[str, str], **changes: Any) -> Asked:
    """A request whose length is announced and whose body comes at once."""
    announced = [*headers.items(), ("Content-Length", str(len(body)))]
    return Asked(**{"headers": announced, "messages": [piece(body)], **changes})


def ask(front: Front, *asked: Asked) -> None:
    """Have requests answered, all at the same time."""

    async def all_of_them() -> None:
        await asyncio.gather(*(asyncio.wait_for(one.of(front), 20) for one in asked))

    asyncio.run(all_of_them())
