"""Sessions with much history behind them: events in, signals in, and what a click lets go.

`python -m tests.bench.bench_sessions [--sessions 10000 1000000] [--times 300] [--folder DIR] [--json FILE]`

Fills one SQLite file for each size, with five finished events for every session, and takes turns between them, so that
whatever else the machine does falls on all alike. Then it measures how long a granted event takes from the signal to
the first attempt, with a worker of its own, on the largest.
"""

import argparse
import json
import shutil
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from gateway.bootstrap import build
from gateway.deliver.attempt import Door
from gateway.flow.events import receive_events
from gateway.flow.gateway import Gateway
from gateway.flow.signals import read_posted, receive_signal
from gateway.model.consent import Channel
from gateway.model.delivery import OutboundRequest, Response
from gateway.storage.migrating import migrate
from gateway.worker import Pace, Worker
from tests.fakes import RecordingSender
from tests.shops import Shop, settings_for
from tests.visitors import a_session, an_event

EVENTS_PER_SESSION = 5
_numbers = count(time.time_ns() // 1000)


@dataclass
class Ringing:
    """A destination that says when something arrived."""

    arrived: threading.Event = field(default_factory=threading.Event)

    def send(self, request: OutboundRequest) -> Response:
        self.arrived.set()
        return Response(status_code=200, headers=(), body=b"")

    def close(self) -> None:
        """Nothing to let go of."""


def main() -> None:
    """Measure, print a table, and write JSON when asked."""
    options = _options()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="bench-sessions-"))
    gateways = {size: _gateway(folder / f"{size}.db", size, RecordingSender()) for size in options.sessions}
    results = _measure(gateways, options.times)
    for gateway in gateways.values():
        gateway.close()
    results["latency"] = _latency(folder / f"{max(options.sessions)}.db", min(options.times, 200))
    _print(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    if not options.folder:
        shutil.rmtree(folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--times", type=int, default=300)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _gateway(path: Path, size: int, sender: Door) -> Gateway:
    url = f"sqlite:///{path}"
    if not path.exists():
        migrate(url)
        _fill(path, size)
    return build(settings_for(url, event_ttl_seconds=900), sender=sender, jitter=lambda: 0.5)


def _fill(path: Path, size: int) -> None:
    """Write sessions and their finished events straight into the file."""
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -2000000; PRAGMA journal_mode = OFF")
    now = time.time_ns() // 1000
    said = '{"source":"client","analytics":"granted","marketing":"granted","choices":{},"seq":1,"gpc":false,'
    said += '"basis":"explicit","captured_at":null,"received_at":"2026-11-22T12:00:00+00:00"}'
    connection.execute("CREATE TEMP TABLE made (n INTEGER PRIMARY KEY, hash TEXT)")
    connection.execute(
        "WITH RECURSIVE one(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM one WHERE n < ?)"
        " INSERT INTO made SELECT n, lower(hex(randomblob(16))) FROM one",
        (size,),
    )
    connection.execute(
        "INSERT INTO sessions (store_id, session_hash, analytics, marketing, by_source, choices, gpc, seen_at,"
        " updated_at) SELECT 'acme', hash, 'granted', 'granted', ?, '{}', 0, ? + n, ? + n FROM made ORDER BY hash",
        (f'{{"client":{said}}}', now, now),
    )
    for at in range(EVENTS_PER_SESSION):
        connection.execute(
            "INSERT INTO events (store_id, event_id, event, session_hash, received_at, verdict)"
            " SELECT 'acme', 'past-' || (n * 10 + ?), 'view_item', hash, ? + n, 'accepted' FROM made",
            (at, now),
        )
        connection.execute(
            "INSERT INTO deliveries (store_id, destination_id, stream, kind, message_id, topic, topic_group,"
            " session_hash, event_id, state, accepted_at, finished_at, attempts, policy_version, action, reason)"
            " SELECT 'acme', 'sink', 'session:' || hash, 'event', 'msg_past', 'view_item', 'events', hash,"
            " 'past-' || (n * 10 + ?), 'delivered', ? + n, ? + n, 1, 1, 'send_as_is', 'all_granted' FROM made",
            (at, now, now),
        )
    connection.commit()
    connection.executescript("PRAGMA journal_mode = WAL; ANALYZE")
    connection.close()


# --- measuring ----------------------------------------------------------------------------------------------------


def _measure(gateways: dict[int, Gateway], times: int) -> dict[str, Any]:
    taken: dict[str, dict[int, list[float]]] = {name: {size: [] for size in gateways} for name in _STEPS}
    for turn in range(times + 20):
        for size, gateway in gateways.items():
            number = next(_numbers)
            for name, step in _STEPS.items():
                seconds = _timed(step, gateway, number)
                if turn >= 20:
                    taken[name][size].append(seconds)
    return {
        name: {str(size): round(statistics.median(found) * 1000, 3) for size, found in by_size.items()}
        for name, by_size in taken.items()
    }


def _timed(step: Callable[[Gateway, int], None], gateway: Gateway, number: int) -> float:
    began = time.perf_counter()
    step(gateway, number)
    return time.perf_counter() - began


def _banner(gateway: Gateway, number: int) -> None:
    _signal(gateway, number, {"state": "pending", "seq": 1})


def _event(gateway: Gateway, number: int) -> None:
    event = an_event(a_session(number), event_id=f"now-{number}")
    [result] = receive_events(gateway.parts, "acme", json.dumps(event).encode())
    assert result.status == "queued"


def _grant(gateway: Gateway, number: int) -> None:
    _signal(gateway, number, {"state": "answered", "categories": {"marketing": True, "analytics": True}, "seq": 2})


def _flush(gateway: Gateway, number: int) -> None:
    shop = Shop(gateway=gateway, clock=gateway.database.now, sender=gateway.parts.sender, settings=gateway.settings)  # type: ignore[arg-type]
    assert shop.dispatch() == 1


def _signal(gateway: Gateway, number: int, fields: dict[str, Any]) -> None:
    body = json.dumps({"session_id": a_session(number), **fields}).encode()
    signal = read_posted(gateway.parts, body, channel=Channel.BROWSER, sec_gpc=False)
    receive_signal(gateway.parts, "acme", signal)


_STEPS: dict[str, Callable[[Gateway, int], None]] = {
    "banner": _banner,
    "event in": _event,
    "grant": _grant,
    "flush": _flush,
}


def _latency(path: Path, times: int) -> dict[str, float]:
    """Milliseconds from the signal's call to the first attempt."""
    sender = Ringing()
    gateway = _gateway(path, 0, sender)
    worker = Worker(gateway.database, gateway, name="bench", destination_ids=gateway.targets, pace=Pace())
    worker.start()
    taken = list(_waits(gateway, sender, times))
    worker.stop(within_seconds=5)
    gateway.close()
    cuts = statistics.quantiles(taken, n=100)
    return {"median": round(statistics.median(taken), 1), "p99": round(cuts[98], 1), "most": round(max(taken), 1)}


def _waits(gateway: Gateway, sender: Ringing, times: int) -> Iterator[float]:
    for _ in range(times):
        number = next(_numbers)
        _event(gateway, number)
        sender.arrived.clear()
        began = time.perf_counter()
        _grant(gateway, number)
        assert sender.arrived.wait(10)
        yield (time.perf_counter() - began) * 1000
        time.sleep(0.02)


def _print(results: dict[str, Any]) -> None:
    for name, found in results.items():
        shown = "  ".join(f"{key}: {value:8.3f} ms" for key, value in found.items())
        values = list(found.values())
        ratio = f"  x{values[-1] / values[0]:.2f}" if name in _STEPS and len(values) > 1 else ""
        print(f"{name:10} {shown}{ratio}")


if __name__ == "__main__":
    main()
