"""What the environment and files say in place of settings.toml."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.settings.schema import Spot, inside, is_text

PREFIX = "GATEWAY__"
# The example settings name GATEWAY_KEY before anybody has set it; `gateway run` then makes a key of its own.
_MAY_BE_UNSET = "security.key"
_INDEX = re.compile(r"[0-9]{1,4}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What there is beside settings.toml; `mistakes` collects what is wrong with it, by path or variable."""

    variables: Mapping[str, str] = field(repr=False)
    folder: Path
    mistakes: dict[str, list[str]] = field(default_factory=dict)


def override(raw: dict[str, Any], shape: Spot, around: Surroundings) -> dict[str, str]:
    """Put every `GATEWAY__...` variable into `raw`; return which path was set by which variable."""
    names = [name for name in around.variables if name.startswith(PREFIX)]
    set_by: dict[str, str] = {}
    for name in sorted(names, key=_in_order):
        steps = _steps(name)
        spot = shape
        for step in steps:
            spot = inside(spot, step)
        if spot is None or not _put(raw, steps, _read(around.variables[name], spot)):
            around.mistakes[name] = ["names no key that can be set"]
        else:
            set_by[path_of(steps)] = name
    return set_by


def resolve(value: Any, spot: Spot, around: Surroundings, path: str = "") -> Any:
    """Replace every `env:NAME` and `file:PATH` by what they stand for."""
    if isinstance(value, dict):
        return {key: resolve(one, inside(spot, key), around, join(path, key)) for key, one in value.items()}
    if isinstance(value, list):
        return [resolve(one, inside(spot, at), around, join(path, at)) for at, one in enumerate(value)]
    if isinstance(value, str) and value.startswith("env:"):
        return _read(_variable(value.removeprefix("env:"), path, around), spot)
    if isinstance(value, str) and value.startswith("file:"):
        return _read(_content(around.folder / value.removeprefix("file:"), path, around), spot)
    return value


def join(path: str, step: str | int) -> str:
    """Return the path one step further in, as `stores[0].policy.mode`."""
    return f"{path}[{step}]" if isinstance(step, int) else f"{path}.{step}".lstrip(".")


def path_of(steps: list[str | int]) -> str:
    """Return the path of all these steps."""
    path = ""
    for step in steps:
        path = join(path, step)
    return path


def _steps(name: str) -> list[str | int]:
    words = name.removeprefix(PREFIX).lower().split("__")
    return [int(word) if _INDEX.fullmatch(word) else word for word in words]


def _in_order(name: str) -> list[tuple[int, str]]:
    """Sort as text, but the tenth of a list after its second."""
    return [(step, "") if isinstance(step, int) else (-1, step) for step in _steps(name)]


def _put(raw: Any, steps: list[str | int], value: Any) -> bool:
    """Set what lies at the end of `steps`; False where something else is in the way, or a list would have a hole."""
    for step, further in _pairs(steps):
        into = value if further is None else [] if isinstance(further, int) else {}
        if isinstance(raw, list) and isinstance(step, int) and step == len(raw):
            raw.append(into)
        elif isinstance(raw, list) and isinstance(step, int) and step < len(raw):
            raw[step] = into if further is None else raw[step]
        elif isinstance(raw, dict) and isinstance(step, str):
            raw[step] = into if further is None else raw.get(step, into)
        else:
            return False
        raw = raw[step]
    return True


def _pairs(steps: list[str | int]) -> Iterator[tuple[str | int, str | int | None]]:
    return zip(steps, [*steps[1:], None], strict=True)


def _read(text: str, spot: Spot) -> Any:
    """Read text as the value that belongs here; for numbers, lists and tables as TOML writes them."""
    try:
        value = tomllib.loads(f"value = {text}\n")["value"]
    except (ValueError, RecursionError):
        return text
    return text if is_text(spot) and not isinstance(value, str) else value


def _variable(name: str, path: str, around: Surroundings) -> str:
    value = around.variables.get(name, "")
    if not value and path != _MAY_BE_UNSET:
        around.mistakes.setdefault(path, []).append(f"the environment variable {name} is not set")
    return value


def _content(file: Path, path: str, around: Surroundings) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not text"
        around.mistakes.setdefault(path, []).append(f"the file {file} cannot be read: {why}")
        return ""
