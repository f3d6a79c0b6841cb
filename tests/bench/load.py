"""Load: as much as is taken (wrk), or a steady rate (pacing)."""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.requests_file import FIRST, write_requests
from tests.engine.running import ROOT

_LUA: Final = Path(__file__).with_name("closed_loop.lua")
# Not on the disk: writing hundreds of megabytes there would slow down every fsync of what is measured.
_MEMORY: Final = Path("/dev/shm" if Path("/dev/shm").is_dir() else tempfile.gettempdir())
_MOST_PER_SECOND: Final = 16_000  # of a view that does nothing on this machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What a closed loop saw."""

    per_second: float
    p50_ms: float
    p99_ms: float
    bad: int
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Paced:
    """What a steady rate saw; `sent_at` and `answered_at` by order number."""

    planned: int
    sent_at: dict[int, float]
    answered_at: dict[int, float]
    bad: int
    ended_at: float


class Numbers:
    """Order numbers that were not used yet."""

    def __init__(self) -> None:
        self._next = FIRST

    def take(self, count: int) -> int:
        first, self._next = self._next, self._next + count
        return first


def closed_loop(port: int, numbers: Numbers, *, seconds: float, connections: int = 32, answered: bool = True) -> Closed:
    """Have wrk send what is taken over `connections` connections."""
    count = int(_MOST_PER_SECOND * seconds)
    path = _MEMORY / f"gateway-bench-{port}.bin"
    length = write_requests(path, first=numbers.take(count), count=count, answered=answered)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{round(seconds)}s", "--timeout", "10s", "-s", str(_LUA)]
    given = [f"http://127.0.0.1:{port}/", "--", str(path), str(length), str(count)]
    ended = subprocess.run([*command, *given], capture_output=True, text=True, check=True)
    path.unlink()
    result = json.loads(ended.stdout.partition("RESULT ")[2])
    return Closed(
        per_second=(result["requests"] - result["bad"]) / result["seconds"],
        p50_ms=result["p50_ms"],
        p99_ms=result["p99_ms"],
        bad=result["bad"],
        requests=result["requests"],
    )


def paced(
    folder: Path, port: int, numbers: Numbers, *, rate: float, seconds: float, denied_share: float = 0.5
) -> Paced:
    """Send at a steady rate, from a process of its own."""
    count = int(rate * seconds) + 1
    first, path, out = numbers.take(count), _MEMORY / f"gateway-bench-{port}.bin", folder / "paced.json"
    length = write_requests(path, first=first, count=count, denied_share=denied_share)
    given = [port, path, length, first, rate, seconds, out]
    subprocess.run([sys.executable, "-m", "tests.bench.pacing", *map(str, given)], check=True, cwd=ROOT)
    result = json.loads(out.read_text(encoding="utf-8"))
    path.unlink()
    answers = result["answers"]
    return Paced(
        planned=result["planned"],
        sent_at={number: sent for number, sent, _, status in answers if status == 200},
        answered_at={number: answered for number, _, answered, status in answers if status == 200},
        bad=result["planned"] - sum(status == 200 for *_, status in answers),
        ended_at=result["ended_at"],
    )
