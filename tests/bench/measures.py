"""What is measured, each side in turn with the other, so that a noisy machine is noisy for both."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.bench.bench_gate import gate_microseconds
from tests.bench.growth import growth
from tests.bench.load import Closed, Numbers, closed_loop, paced
from tests.bench.node_red import is_possible as may_run_node_red
from tests.bench.subjects import Sink, Subject, flask_relay, gateway, node_red, trivial
from tests.engine.fleet import HURRY, run_six_processes
from tests.engine.running import ROOT, Gateway, free_port
from tests.engine.sink import Sink as RememberingSink

NO_DELIVERY: Final = "hold_seconds = 3600"  # orders without an answer wait: intake alone is measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One number against its bar; `higher_is_better` says which side of it is good."""

    name: str
    value: float
    bar: float
    goal: float
    higher_is_better: bool = True
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass
class Bench:
    """What all measures share."""

    folder: Path
    rounds: int
    seconds: float
    postgres_url: Callable[[], str]
    numbers: Numbers = field(default_factory=Numbers)
    _count: int = 0

    def place(self) -> Path:
        self._count += 1
        return self.folder / str(self._count)

    def sqlite_url(self, place: Path) -> str:
        place.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{place / 'gateway.db'}"


def intake_on_sqlite(bench: Bench) -> list[Measure]:
    """Durable intake of 6 KB, 32 connections, against a view that only reads the body; and the p99 of both."""
    ours, theirs = _intake(bench, bench.sqlite_url, workers=1)
    return [
        _ratio("intake SQLite / trivial view", ours, theirs, bar=0.30, goal=0.45),
        Measure(
            name="p99 at saturation SQLite / trivial view",
            value=_median(one.p99_ms for one in ours) / _median(one.p99_ms for one in theirs),
            bar=3,
            goal=1,
            higher_is_better=False,
            detail={"ours_ms": [one.p99_ms for one in ours], "theirs_ms": [one.p99_ms for one in theirs]},
        ),
    ]


def intake_on_postgres(bench: Bench) -> list[Measure]:
    """The same on PostgreSQL, two processes each."""
    ours, theirs = _intake(bench, lambda _: bench.postgres_url(), workers=2)
    return [_ratio("intake PostgreSQL / trivial view", ours, theirs, bar=0.15, goal=0.30)]


def intake_on_a_slow_disk(bench: Bench) -> list[Measure]:
    """4 ms more for every fsync, against a bare sqlite3 loop that commits one by one there."""
    environment = {"LD_PRELOAD": str(_slow_fsync(bench.folder)), "GATEWAY_FSYNC_DELAY_US": "4000"}
    ours, theirs = [], []
    place = bench.place()
    with gateway(
        place, url=bench.sqlite_url(place), sink_url="http://127.0.0.1:1/", policy=NO_DELIVERY, environment=environment
    ) as subject:
        for _ in range(bench.rounds):
            ours.append(
                closed_loop(
                    subject.port, bench.numbers, seconds=bench.seconds, connections=64, answered=False
                ).per_second
            )
            command = [
                sys.executable,
                "-m",
                "tests.bench.bare_sqlite",
                str(place / "bare.db"),
                str(bench.seconds),
                "6144",
            ]
            ended = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, check=True)
            theirs.append(float(json.loads(ended.stdout)["per_second"]))
    value = _median(ours) / _median(theirs)
    return [
        Measure(
            name="intake, +4 ms fsync / bare sqlite3 loop",
            value=value,
            bar=3,
            goal=8,
            detail={"ours": ours, "theirs": theirs},
        )
    ]


def end_to_end(bench: Bench) -> list[Measure]:
    """The highest steady rate without a growing backlog, half of the orders denied, against what shops wire up."""
    names = ("relay", "sqlite", "postgres", *(("node-red",) if may_run_node_red() else ()))
    rates: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(bench.rounds):
        for name, found in rates.items():
            found.append(_sustained(bench, name))
    measures = [
        _against(rates, "sqlite", "relay", bar=1.0, goal=1.5),
        _against(rates, "postgres", "relay", bar=1.3, goal=2.0),
    ]
    if "node-red" in rates:
        measures.append(_against(rates, "sqlite", "node-red", bar=0.7, goal=1.0))
        measures.append(_against(rates, "postgres", "node-red", bar=1.0, goal=1.3))
    return [*measures, *_delay(bench, _median(rates["sqlite"]) / 2)]


def overload(bench: Bench) -> list[Measure]:
    """Closed loop, 32 connections: the share of what was taken in that was delivered while the load lasted."""
    shares, rates = [], []
    for _ in range(bench.rounds):
        place, sink = bench.place(), Sink(bench.folder)
        with gateway(place, url=bench.sqlite_url(place), sink_url=sink.url) as subject:
            _warm(bench, subject)
            before = sink.count
            seen = closed_loop(subject.port, bench.numbers, seconds=bench.seconds * 2)
            shares.append((sink.count - before) / max(1, seen.requests))
            rates.append(seen.per_second)
        sink.stop()
    return [
        Measure(
            name="share delivered under overload, SQLite",
            value=_median(shares),
            bar=0.5,
            goal=0.9,
            detail={"shares": shares, "taken_in_per_second": rates},
        )
    ]


def outage(bench: Bench) -> list[Measure]:
    """The destination is away, kill -9, restart, the destination is back: orders answered 200 and never delivered."""
    place, sink_port = bench.place(), Sink(bench.folder)
    url, port = sink_port.url, sink_port.port
    sink_port.stop()  # nobody listens
    with gateway(place, url=bench.sqlite_url(place), sink_url=url) as subject:
        answered = set(paced(place, subject.port, bench.numbers, rate=100, seconds=4).answered_at)
        os.killpg(subject.processes[0].pid, 9)
    sink = Sink(bench.folder, port=port)
    with gateway(place, url=bench.sqlite_url(place), sink_url=url):
        ends_at = time.monotonic() + 90
        while sink.count < len(answered) and time.monotonic() < ends_at:
            time.sleep(0.2)
    lost = len(answered - set(sink.stop()))
    return [
        Measure(
            name=f"lost of {len(answered)} after outage and kill -9", value=lost, bar=0, goal=0, higher_is_better=False
        )
    ]


def memory(bench: Bench) -> list[Measure]:
    """Memory of `gateway run` after work, in MB (what is shared counted once), and against Node-RED's."""
    names = ["sqlite", "node-red"] if may_run_node_red() else ["sqlite"]
    rounds = [{name: _memory_after_work(bench, name) for name in names} for _ in range(bench.rounds)]
    taken = {name: [one[name] for one in rounds] for name in names}
    ours = _median(taken["sqlite"])
    found = [Measure(name="memory of gateway run, MB", value=ours, bar=120, goal=100, higher_is_better=False)]
    if "node-red" in taken:
        value = ours / _median(taken["node-red"])
        name = "memory of gateway run / Node-RED"
        found.append(Measure(name=name, value=value, bar=0.6, goal=0.5, higher_is_better=False, detail=dict(taken)))
    return found


def gate_share(bench: Bench) -> list[Measure]:
    """Deciding, redacting, proving and serialising one order, denied everything, as a share of all CPU for it."""
    place, sink = bench.place(), Sink(bench.folder)
    with gateway(place, url=bench.sqlite_url(place), sink_url=sink.url) as subject:
        paced(place, subject.port, bench.numbers, rate=100, seconds=1, denied_share=1.0)
        before = subject.cpu_seconds
        count = len(
            paced(place, subject.port, bench.numbers, rate=200, seconds=bench.seconds * 2, denied_share=1.0).answered_at
        )
        time.sleep(1)
        whole = (subject.cpu_seconds - before) / count * 1_000_000
    sink.stop()
    gate = gate_microseconds()
    return [
        Measure(
            name="decide, redact, prove, serialise / all CPU of an order",
            value=gate / whole,
            bar=0.25,
            goal=0.15,
            higher_is_better=False,
            detail={"gate_us": gate, "whole_us": whole},
        )
    ]


def fleet(bench: Bench) -> list[Measure]:
    """Two web and four worker processes on PostgreSQL, one cut off: 20,000 of 20,000, each marked delivered once."""
    url, sink = bench.postgres_url(), RememberingSink()
    first = Gateway(bench.place(), url=url, port=free_port(), sinks={"sink": sink.url}, more=HURRY)
    subprocess.run(
        [sys.executable, "-m", "gateway", "migrate", "--settings", str(first.settings)], check=True, cwd=ROOT
    )
    how = run_six_processes(first, sink, url, orders=10_000, cut_after=3_000, seconds=900)
    first.stop()
    count = len({one.webhook_id for one in sink.taken})
    sink.close()
    return [Measure(name=f"delivered of 20,000, a worker {how}", value=count, bar=20_000, goal=20_000)]


def growth_on_sqlite(bench: Bench) -> list[Measure]:
    """p50 of intake, claim and outcome with 1,000,000 stored orders against 10,000."""
    return _growth("SQLite", lambda: bench.sqlite_url(bench.place()))


def growth_on_postgres(bench: Bench) -> list[Measure]:
    """The same on PostgreSQL."""
    return _growth("PostgreSQL", bench.postgres_url)


ALL: Final = (
    intake_on_sqlite,
    intake_on_postgres,
    intake_on_a_slow_disk,
    end_to_end,
    overload,
    outage,
    memory,
    gate_share,
    fleet,
    growth_on_sqlite,
    growth_on_postgres,
)


def _intake(bench: Bench, url: Callable[[Path], str], *, workers: int) -> tuple[list[Closed], list[Closed]]:
    ours: list[Closed] = []
    theirs: list[Closed] = []
    place = bench.place()
    with (
        gateway(place, url=url(place), sink_url="http://127.0.0.1:1/", policy=NO_DELIVERY) as subject,
        trivial(place, workers=workers, threads=8) as peer,
    ):
        for one in (subject, peer):
            _warm(bench, one)
        for _ in range(bench.rounds):
            for found, one in ((ours, subject), (theirs, peer)):
                found.append(closed_loop(one.port, bench.numbers, seconds=bench.seconds, answered=False))
    return ours, theirs


def _sustained(bench: Bench, name: str) -> float:
    """Search the highest rate at which 97 % have arrived by the moment the load stops, and nothing was refused."""
    low, high, rate = 0.0, float("inf"), 200.0
    while high - low > 0.08 * max(low, 50):
        if _keeps_up(bench, name, rate):
            low = rate
        else:
            high = rate
        rate = low * 1.5 if high == float("inf") else (low + high) / 2
    return low


def _keeps_up(bench: Bench, name: str, rate: float) -> bool:
    place, sink = bench.place(), Sink(bench.folder)
    with _subject(bench, name, place, sink.url) as subject:
        _warm(bench, subject)
        seen = paced(place, subject.port, bench.numbers, rate=rate, seconds=bench.seconds)
    in_time = sum(at <= seen.ended_at for number, at in sink.stop().items() if number in seen.sent_at)
    return seen.bad == 0 and in_time >= 0.97 * seen.planned


def _warm(bench: Bench, subject: Subject) -> None:
    """Let it work for a while, as it does for all but the first seconds of its life."""
    paced(subject.folder, subject.port, bench.numbers, rate=100, seconds=3)
    subject.settle_in()


def _subject(bench: Bench, name: str, place: Path, sink_url: str) -> AbstractContextManager[Subject]:
    if name == "relay":
        return flask_relay(place, sink_url=sink_url)
    if name == "node-red":
        return node_red(place, sink_url=sink_url)
    url = bench.sqlite_url(place) if name == "sqlite" else bench.postgres_url()
    return gateway(place, url=url, sink_url=sink_url)


def _delay(bench: Bench, rate: float) -> list[Measure]:
    place, sink = bench.place(), Sink(bench.folder)
    with gateway(place, url=bench.sqlite_url(place), sink_url=sink.url) as subject:
        _warm(bench, subject)
        seen = paced(place, subject.port, bench.numbers, rate=max(rate, 10), seconds=bench.seconds)
        time.sleep(2)
    arrived = sink.stop()
    delays = sorted((arrived[n] - at) * 1000 for n, at in seen.answered_at.items() if n in arrived)
    tens = statistics.quantiles(delays, n=100)
    return [
        Measure(
            name="accepted to delivered at half load, p50 ms", value=tens[49], bar=15, goal=8, higher_is_better=False
        ),
        Measure(
            name="accepted to delivered at half load, p99 ms", value=tens[98], bar=100, goal=30, higher_is_better=False
        ),
    ]


def _against(rates: dict[str, list[float]], ours: str, theirs: str, *, bar: float, goal: float) -> Measure:
    value = _median(rates[ours]) / _median(rates[theirs])
    return Measure(name=f"end to end {ours} / {theirs}", value=value, bar=bar, goal=goal, detail=dict(rates))


def _memory_after_work(bench: Bench, name: str) -> float:
    place, sink = bench.place(), Sink(bench.folder)
    with _subject(bench, name, place, sink.url) as subject:
        paced(place, subject.port, bench.numbers, rate=300, seconds=max(bench.seconds, 10))
        value = subject.memory_mb
    sink.stop()
    return value


def _growth(database: str, new_url: Callable[[], str]) -> list[Measure]:
    return [
        Measure(
            name=f"p50 of {step}, 1,000,000 / 10,000 orders, {database}",
            value=found["ratio"],
            bar=1.25,
            goal=1.1,
            higher_is_better=False,
            detail=found,
        )
        for step, found in growth(new_url).items()
    ]


def _ratio(name: str, ours: list[Closed], theirs: list[Closed], *, bar: float, goal: float) -> Measure:
    mine, other = [one.per_second for one in ours], [one.per_second for one in theirs]
    detail = {"ours": mine, "theirs": other, "bad": sum(one.bad for one in ours)}
    return Measure(name=name, value=_median(mine) / _median(other), bar=bar, goal=goal, detail=detail)


def _median(values: Any) -> float:
    return float(statistics.median(list(values)))


def _slow_fsync(folder: Path) -> Path:
    library = folder / "slow_fsync.so"
    source = Path(__file__).with_name("slow_fsync.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"], check=True)
    return library
