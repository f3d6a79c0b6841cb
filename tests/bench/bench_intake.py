"""What one webhook costs from the server's call to the database writer: `python -m tests.bench.bench_intake`.

Microseconds of CPU in one thread, without the server and without the write, beside a Flask view that only reads the
body. Steps are measured inside the whole: code that runs once per webhook is slower than the same code in a loop.
"""

import asyncio
import io
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

from gateway.bootstrap import build, read_settings
from gateway.flow.gateway import Gateway
from gateway.flow.item import Taken
from gateway.ingest.platforms import PLATFORMS
from gateway.model.order import Platform
from gateway.storage.migrating import migrate
from gateway.telemetry import configure_logging
from gateway.web import create_front
from gateway.web.front import Front
from tests.engine.orders import Webhook, a_webhook
from tests.engine.running import settings_text

ORDERS = 200
ROUNDS = 30


class Writing:
    """The database, but for the writer: it answers at once."""

    def __init__(self, database: Any) -> None:
        self._database = database

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def written_together(self, _handler: object, _item: object) -> Taken:
        return Taken(status="accepted", deliveries=1)


class Watch:
    """Notes the time inside steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def step(self, owner: Any, name: str, title: str) -> None:
        """Measure `owner.name` from now on."""
        work, seen = getattr(owner, name), self.seconds.setdefault(title, [])

        def measured(*args: Any, **more: Any) -> Any:
            began = time.thread_time()
            try:
                return work(*args, **more)
            finally:
                seen.append(time.thread_time() - began)

        setattr(owner, name, measured)


@contextmanager
def a_gateway(folder: Path) -> Iterator[Gateway]:
    """A gateway as it runs, that logs to a file."""
    url, settings = f"sqlite:///{folder}/gateway.db", folder / "settings.toml"
    settings.write_text(settings_text(url=url, port=1, sinks={"sink": "http://127.0.0.1:9/hook"}), encoding="utf-8")
    migrate(url)
    with (folder / "log").open("w", encoding="utf-8") as log:
        configure_logging("INFO", log)
        gateway = build(read_settings(settings))
        gateway.database = Writing(gateway.database)  # type: ignore[assignment]  # stands for it
        yield gateway
        gateway.close()
        logging.getLogger().handlers.clear()


def trivial() -> Flask:
    """A view that only reads the body."""
    app = Flask("trivial")

    @app.post("/<path:_>")
    def read(_: str) -> Response:
        request.get_data()
        return Response(status=200)

    return app


def environ_of(webhook: Webhook) -> dict[str, Any]:
    """A request as a server of WSGI hands it over."""
    headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in webhook.headers.items()}
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/webhooks/acme",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(webhook.body)),
        "CONTENT_TYPE": headers.pop("HTTP_CONTENT_TYPE"),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.input_terminated": True,
        **headers,
    }


def scope_of(webhook: Webhook) -> dict[str, Any]:
    """The same as our server hands it over."""
    headers = [(name.lower().encode(), value.encode()) for name, value in webhook.headers.items()]
    return {
        "type": "http",
        "method": "POST",
        "path": "/webhooks/acme",
        "headers": [*headers, (b"content-length", b"%d" % len(webhook.body))],
    }


async def best_of(round_of_orders: Callable[[], Awaitable[None]]) -> float:
    """Microseconds per order, in the best of many rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.thread_time()
        await round_of_orders()
        best = min(best, (time.thread_time() - began) / ORDERS * 1e6)
    return best


async def through_flask(webhooks: Sequence[Webhook]) -> float:
    """What it costs to have a view read them."""
    app, requests = trivial().wsgi_app, [(environ_of(webhook), webhook.body) for webhook in webhooks]

    async def read_all() -> None:
        for environ, body in requests:
            list(app({**environ, "wsgi.input": io.BytesIO(body)}, lambda _status, _headers, _=None: lambda _: None))

    return await best_of(read_all)


async def through_front(front: Front, webhooks: Sequence[Webhook]) -> float:
    """What it costs to have them taken in, one after the other."""
    requests = [(scope_of(webhook), {"type": "http.request", "body": webhook.body}) for webhook in webhooks]

    async def send(_: dict[str, Any]) -> None:
        """Let the answer go."""

    async def answer_all() -> None:
        for scope, message in requests:
            await front(scope, _giving(message), send)

    return await best_of(answer_all)


def _giving(message: dict[str, Any]) -> Callable[[], Awaitable[dict[str, Any]]]:
    async def receive() -> dict[str, Any]:
        return message

    return receive


def main() -> None:
    """Print one line per step."""
    webhooks = [a_webhook(1_000_000_000 + number, marketing=bool(number % 2)) for number in range(ORDERS)]
    with tempfile.TemporaryDirectory() as folder, a_gateway(Path(folder)) as gateway:
        front = create_front(gateway, threads=1)
        print(f"a Flask view that reads the body {asyncio.run(through_flask(webhooks)):6.0f} us")
        print(f"a webhook, up to the writer      {asyncio.run(through_front(front, webhooks)):6.0f} us")
        watch, reader = Watch(), PLATFORMS[Platform.WOOCOMMERCE]
        watch.step(reader, "verify", "verify")
        watch.step(reader, "parse", "parse")
        watch.step(gateway, "_intake", "seal, keyed hashes")
        watch.step(gateway.telling, "received", "log line, metrics")
        asyncio.run(through_front(front, webhooks))
        for title, seen in watch.seconds.items():
            print(f"  {title:<31}{statistics.median(seen) * 1e6:6.0f} us")


if __name__ == "__main__":
    main()
