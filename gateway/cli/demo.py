"""demo: one command, no settings - real sample orders through a real gateway to a receiver on this machine."""

import argparse
import json
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.samples import CONSENTS, Sample, make_samples
from gateway.deliver.send import Sender
from gateway.errors import DeliveryFailed, StartRefused
from gateway.model.delivery import OutboundRequest, Response
from gateway.storage.database import Database
from gateway.storage.people import Role, add_user
from gateway.storage.tokens import add_token

_STORES: Final = tuple(
    (platform, mode) for platform in ("woocommerce", "shopify") for mode in ("suppress", "anonymize")
)
_PATIENCE_SECONDS: Final = 30.0
_PLAIN_WIDTH: Final = 180
_NARROW: Final = 130  # columns of a terminal; below that the words of a whole table would be broken
_TELLING: Final = ("email", "_fbp", "_ga]", "browser_ip", "ip_address", "fbclid", "phone", "last_name")
_SHOWN: Final = 4
_STYLES: Final = {"delivered": "green", "suppressed": "yellow", "leak": "bold red", "failed": "red"}


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:  # noqa: ARG001 - the demo needs no settings
    """Add `gateway demo`."""
    text = "see it work: sample orders with different consents, and what arrived of them"
    demo = commands.add_parser("demo", help=text, description=text)
    demo.add_argument("--once", action="store_true", help="show the table and exit")
    demo.set_defaults(run=_demo)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where the demo's gateway is, and how to ask it."""

    base: str
    folder: Path
    tokens: dict[str, str]
    password: str


def _demo(arguments: argparse.Namespace) -> int:
    console = _console()
    with (
        tempfile.TemporaryDirectory(prefix="gateway-demo-") as folder,
        _receiver() as receiver,
        _gateway(Path(folder), receiver.address) as place,
    ):
        samples = make_samples(_STORES)
        sender = _sender()
        for sample in samples:
            _answered(sender, f"{place.base}/webhooks/{sample.store_id}", sample.headers, sample.body)
        rows = [_shown(sender, place, sample) for sample in samples]
        console.print(_table(samples, rows, receiver, is_narrow=console.width < _NARROW))
        _explain(console, place, samples)
        if not arguments.once:
            _wait_for_interrupt()
        sender.close()
    return 0


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=_PLAIN_WIDTH, no_color=True)


def _sender() -> Sender:
    return Sender(timeout_seconds=10, allow_private=True, max_response_bytes=1 << 20)


# --- the gateway and what is around it --------------------------------------------------------------------------------


class _Receiver:
    """A destination on this machine that keeps what it gets."""

    def __init__(self) -> None:
        kept: dict[tuple[str, str], bytes] = {}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kept[self.headers["X-Gateway-Store"], str(json.loads(body)["id"])] = body
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.kept = kept
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}/collect"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def _receiver() -> Iterator[_Receiver]:
    receiver = _Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


@contextmanager
def _gateway(folder: Path, destination: str) -> Iterator[_Place]:
    port = _free_port()
    settings = folder / "settings.toml"
    settings.write_text(_settings(port, destination), encoding="utf-8")
    command = [sys.executable, "-m", "gateway", "run", "--settings", str(settings)]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:  # noqa: S603
        try:
            base = f"http://127.0.0.1:{port}"
            _wait_until_up(base, process, folder)
            yield _open_doors(base, folder)
        finally:
            process.terminate()


def _settings(port: int, destination: str) -> str:
    stores = "".join(
        f'[[stores]]\nid = "{platform}-{mode}"\nplatform = "{platform}"\nsecrets = ["{platform}-demo-secret"]\n'
        f'[stores.policy]\nmode = "{mode}"\n'
        for platform, mode in _STORES
    )
    return (
        f"[web]\nport = {port}\n[worker]\nallow_private_destinations = true\n"
        f'[policy]\nunknown = "deny"\nhold_seconds = 1\n{stores}'
        f'[[destinations]]\nid = "receiver"\nurl = "{destination}"\n'
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_up(base: str, process: "subprocess.Popen[bytes]", folder: Path) -> None:
    sender = _sender()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(DeliveryFailed):
            if sender.send(_get(f"{base}/readyz", "")).status_code == 200:  # noqa: PLR2004 - it is up
                sender.close()
                return
        time.sleep(0.05)
    said = (folder / "log").read_text(encoding="utf-8", errors="replace")
    raise StartRefused(f"the demo's gateway did not start:\n{said}")


def _open_doors(base: str, folder: Path) -> _Place:
    """Make a token per store and a user for the pages, beside the running gateway."""
    database = Database(f"sqlite:///{folder}/instance/gateway.db")
    password = secrets.token_urlsafe(12)
    ids = ["-".join(store) for store in _STORES]
    add = {one: partial(add_token, name=f"demo-{one}", store_id=one, now=database.now()) for one in ids}
    tokens = {one: database.write(job) for one, job in add.items()}
    add_user(database, name="demo", role=Role.OWNER, actor="gateway demo", password=password)
    database.close()
    return _Place(base=base, folder=folder, tokens=tokens, password=password)


# --- asking -----------------------------------------------------------------------------------------------------------


def _answered(sender: Sender, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> Response:
    response = sender.send(OutboundRequest(method="POST", url=url, headers=tuple(headers), body=body))
    if response.status_code != 200:  # noqa: PLR2004 - a store takes nothing else for success
        raise StartRefused(f"the gateway answered {response.status_code}: {response.body.decode()}")
    return response


def _get(url: str, token: str) -> OutboundRequest:
    return OutboundRequest(method="GET", url=url, headers=(("Authorization", f"Bearer {token}"),), body=b"")


def _shown(sender: Sender, place: _Place, sample: Sample) -> dict[str, Any]:
    """Ask for an order until its delivery has come to an end."""
    url = f"{place.base}/api/v1/stores/{sample.store_id}/orders/{sample.order_id}"
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        shown: dict[str, Any] = json.loads(sender.send(_get(url, place.tokens[sample.store_id])).body)
        delivery: dict[str, Any] = shown["deliveries"][0]
        if delivery["finished_at"] or time.monotonic() > deadline:
            return delivery
        time.sleep(0.05)


# --- showing ----------------------------------------------------------------------------------------------------------


def _table(samples: Sequence[Sample], rows: Sequence[dict[str, Any]], receiver: _Receiver, *, is_narrow: bool) -> Table:
    table = Table(title="What left the shop, and what did not", title_justify="left", row_styles=("", "dim"))
    headings: tuple[str, ...] = ("order", "platform", "mode", "consent", "decision", "stripped", "arrived")
    if is_narrow:
        headings = ("order", *headings[3:])
        table.box, table.show_edge, table.pad_edge, table.padding = SIMPLE_HEAD, False, False, (0, 1, 0, 0)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for sample, delivery in zip(samples, rows, strict=True):
        arrived = receiver.kept.get((sample.store_id, sample.order_id))
        table.add_row(*(_narrow if is_narrow else _wide)(sample, delivery, arrived))
    return table


def _wide(sample: Sample, delivery: dict[str, Any], arrived: bytes | None) -> list[str | Text]:
    decision = Text(f"{delivery['state']}: {delivery['reason']}", style=_STYLES.get(delivery["state"], ""))
    named = [sample.number, sample.platform, sample.mode, sample.consent]
    return [*named, decision, _stripped(delivery["stripped"]), _arrived(arrived)]


def _narrow(sample: Sample, delivery: dict[str, Any], arrived: bytes | None) -> list[str | Text]:
    """Break lines between words, where a terminal of 80 columns would break them anywhere."""
    decision = Text(f"{delivery['state']}:\n{delivery['reason']}", style=_STYLES.get(delivery["state"], ""))
    left = _arrived(arrived)
    named = f"{sample.number}\n{sample.platform}\n{sample.mode}"
    stripped = str(len(delivery["stripped"]) or "-")
    return [named, sample.consent.replace(" ", "\n"), decision, stripped, Text("\n").join(left.split(", "))]


def _stripped(names: Sequence[str]) -> str:
    """Name what a shopper would mind most, and count the rest."""
    if not names:
        return "-"
    telling = [name for word in _TELLING for name in names if word in name]
    shown = list(dict.fromkeys(telling or names))[:_SHOWN]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def _arrived(body: bytes | None) -> Text:
    if body is None:
        return Text("nothing", style="yellow")
    parsed = json.loads(body)
    person = parsed.get("billing", parsed).get("email") or "no e-mail"
    total = parsed.get("total") or parsed.get("total_price")
    return Text(f"{len(body)} bytes, {total} {parsed['currency']}, {person}", style="green")


def _explain(console: Console, place: _Place, samples: Sequence[Sample]) -> None:
    console.print(f"Consents sent: {', '.join(CONSENTS)}. No record counts as denied here (unknown = deny).")
    page = f"{place.base}/admin/orders/{samples[1].store_id}/{samples[1].order_id}"
    console.print(f"Order pages: {place.base}/admin/  (user demo, password {place.password})", soft_wrap=True)
    console.print(f"One of them: {page}", soft_wrap=True)


def _wait_for_interrupt() -> None:
    print("Ctrl-C ends the demo.", flush=True)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    with suppress(KeyboardInterrupt):
        stopping.wait()
