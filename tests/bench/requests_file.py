"""Requests of one length, one after the other in a file, each with an order of its own."""

import base64
import hashlib
import hmac
from pathlib import Path
from typing import Final

from tests.engine.orders import SECRET, STORE, a_webhook, an_email

FIRST: Final = 1_000_000_000  # ten digits, so that every request is as long as the others
_SIGNATURE: Final = b"X-WC-Webhook-Signature: "


def write_requests(path: Path, *, first: int, count: int, denied_share: float = 0.5, answered: bool = True) -> int:
    """Write `count` requests to `path` and return the length of one; every other one denies marketing."""
    patterns = [_Pattern(marketing) for marketing in ((True, False) if answered else (None,))]
    denied_every = round(1 / denied_share) if denied_share else 0
    with path.open("wb") as file:
        for number in range(first, first + count):
            is_denied = answered and denied_every and number % denied_every == 0
            file.write(patterns[1 if is_denied else 0].request(number))
    return patterns[0].length


class _Pattern:
    """One request with holes for what differs."""

    def __init__(self, marketing: bool | None) -> None:
        # A denial is one letter longer than a grant: the filler makes both 6 KB.
        webhook = a_webhook(FIRST, marketing=marketing)
        request = webhook.request("127.0.0.1")
        head, self._body = request[: -len(webhook.body)], webhook.body
        before, _, after = head.partition(_SIGNATURE)
        self._before, self._after = before + _SIGNATURE, after[44:]
        self._number, self._email = str(FIRST).encode(), an_email(FIRST).encode()
        self.length = len(request)

    def request(self, number: int) -> bytes:
        body = self._body.replace(self._number, str(number).encode())
        signature = base64.b64encode(hmac.digest(SECRET.encode(), body, hashlib.sha256))
        return self._before + signature + self._after + body


def path_of(store: str = STORE) -> str:
    """Where requests go."""
    return f"/webhooks/{store}"
