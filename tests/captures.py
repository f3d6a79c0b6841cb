"""Requests as stores send them: the headers, the exact bytes, and the secret that signed them."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from gateway.model.order import Platform

_SAMPLES = Path(__file__).parent / "samples" / "platforms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    platform: Platform
    name: str
    topic: str
    what: str
    secret: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def is_ping(self) -> bool:
        return self.topic == "ping"


def captures(platform: Platform) -> list[Capture]:
    """Read every capture of a platform, in the order in which they were sent."""
    folder = _SAMPLES / platform
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return [_capture(platform, folder, entry) for entry in index["captures"]]


def capture(platform: Platform, name: str) -> Capture:
    """Read the capture whose name begins so, like `012`."""
    return next(one for one in captures(platform) if one.name.startswith(name))


def _capture(platform: Platform, folder: Path, entry: dict[str, str]) -> Capture:
    lines = (folder / f"{entry['file']}.http").read_text(encoding="utf-8").splitlines()[1:]
    return Capture(
        platform=platform,
        name=entry["file"],
        topic=entry["topic"],
        what=entry["what"],
        secret=entry["secret"],
        headers=dict(line.split(": ", 1) for line in lines if ": " in line),
        body=(folder / f"{entry['file']}.body").read_bytes(),
    )
