"""Rooms: one file per vendor or kind, each known to the registry of its room."""

import ast
from pathlib import Path

import pytest

from gateway.deliver.destinations import DESTINATION_KINDS
from gateway.flow.stores import STORE_APIS
from gateway.ingest.platforms import PLATFORMS
from gateway.model.order import Platform
from tests.architecture.tree import GATEWAY

ROOMS = ("ingest/platforms", "ingest/signals", "redact/identifiers", "deliver/destinations", "flow/stores")


@pytest.mark.parametrize("room", ROOMS)
def test_every_file_of_a_room_is_registered(room: str) -> None:
    folder = GATEWAY / room
    files = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}

    assert files - {"__init__"} - _imported(folder / "__init__.py") == set()
    assert len(files) > 1


def test_every_platform_can_be_read_and_asked() -> None:
    assert set(PLATFORMS) == set(STORE_APIS) == set(Platform)


def test_kinds_of_destinations_are_those_of_the_settings() -> None:
    schema = (GATEWAY / "settings" / "schema.py").read_text(encoding="utf-8")

    words = ", ".join(f'"{kind}"' for kind in DESTINATION_KINDS)
    assert f"kind = _one_of({words})" in schema


def _imported(path: Path) -> set[str]:
    room = ".".join(path.parent.relative_to(GATEWAY.parent).parts)
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == room:
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{room}."):
            names.add(node.module.removeprefix(f"{room}.").partition(".")[0])
    return names
