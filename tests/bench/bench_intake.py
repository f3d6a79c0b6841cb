"""What one webhook costs from the server's call to the database writer: `python -m tests.bench.bench_intake`.

Microseconds of CPU in one thread, without the server and without the write, beside a Flask view that only reads the
body. Steps are measured inside the whole: code that runs once per webhook is slower than the same code in a loop.
"""

import io
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
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
from gateway.web import create_app
from tests.engine.orders import a_webhook
from tests.engine.running import settings_text

ORDERS = 200
ROUNDS = 30


class Writing:
    """The database, but for the writer: it answers at once."""

    def __init__(self, database: Any) -> None:
        self._database = database

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def write_together(self, _handler: object, _item: object) -> Taken:
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


def environs() -> Iterator[tuple[dict[str, Any], bytes]]:
    """Requests as the server hands them over."""
    for number in range(ORDERS):
        webhook = a_webhook(1_000_000_000 + number, marketing=bool(number % 2))
        headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in webhook.headers.items()}
        yield (
            {
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
            },
            webhook.body,
        )


def microseconds(app: Callable[..., Any], requests: list[tuple[dict[str, Any], bytes]]) -> float:
    """The best of many rounds, per request."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.thread_time()
        for environ, body in requests:
            list(app({**environ, "wsgi.input": io.BytesIO(body)}, lambda _status, _headers: None))
        best = min(best, (time.thread_time() - began) / len(requests) * 1e6)
    return best


def main() -> None:
    """Print one line per step."""
    requests = list(environs())
    with tempfile.TemporaryDirectory() as folder, a_gateway(Path(folder)) as gateway:
        app = create_app(gateway).wsgi_app
        print(f"a Flask view that reads the body {microseconds(trivial().wsgi_app, requests):6.0f} us")
        print(f"a webhook, up to the writer      {microseconds(app, requests):6.0f} us")
        watch, reader = Watch(), PLATFORMS[Platform.WOOCOMMERCE]
        watch.step(reader, "verify", "verify")
        watch.step(reader, "parse", "parse")
        watch.step(gateway, "take_in", "seal, keyed hashes")
        watch.step(gateway.telling, "received", "log line, metrics")
        microseconds(app, requests)
        for title, seen in watch.seconds.items():
            print(f"  {title:<31}{statistics.median(seen) * 1e6:6.0f} us")


if __name__ == "__main__":
    main()
