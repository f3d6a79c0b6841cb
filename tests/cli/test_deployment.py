"""What Dockerfile, compose.yaml and the systemd units ask of the gateway."""

import base64
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gateway.settings import load_settings
from tests.cli.places import ROOT, Place, free_port

UNITS = sorted((ROOT / "docs" / "systemd").glob("*.service"))
DOCKERFILE, COMPOSE = ((ROOT / name).read_text("utf-8") for name in ("Dockerfile", "compose.yaml"))
COMMANDS = {
    *(" ".join(json.loads(words)[1:]) for words in re.findall(r'(\["gateway", .*\])', DOCKERFILE + COMPOSE)),
    *(words for unit in UNITS for words in re.findall(r"/bin/gateway (.+)", unit.read_text("utf-8"))),
}
HEALTHCHECK = json.loads(re.findall(r"HEALTHCHECK .*\\\n\s+CMD (.+)", DOCKERFILE)[0])


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_commands_and_their_options_are_known(tmp_path: Path, words: str) -> None:
    assert Place(folder=tmp_path, port=0).run(*words.split(), "--help").code == 0


def test_every_way_to_run_it_is_looked_at() -> None:
    assert {words.split()[0] for words in COMMANDS} == {"run", "web", "worker", "migrate", "check"}


def test_settings_that_are_overridden_are_known(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").touch()
    named = dict(re.findall(r"(GATEWAY__\w+)(?:=|: )(\S+)", DOCKERFILE + COMPOSE)) | {
        "GATEWAY_KEY": base64.b64encode(bytes(32)).decode()
    }

    assert load_settings(tmp_path / "settings.toml", named).web.host == "0.0.0.0"
    assert len(named) == 5


def test_a_web_server_that_can_write_nowhere_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "read-only"))
    place = Place(folder=tmp_path, port=0)
    place.write(f'[web]\nport = {free_port()}\n[database]\nurl = "postgresql+psycopg://u:p@127.0.0.1:1/db"\n')

    assert place.run("web").err == (
        "gateway: gateway web needs a folder for temporary files; make /tmp writable, or set TMPDIR\n"
    )


@pytest.fixture
def answering(request: pytest.FixtureRequest) -> Iterator[HTTPServer]:
    """A server that is as ready as the test says."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(("answering", "code"), [(200, 0), (503, 1)], indirect=["answering"])
def test_a_container_is_healthy_when_it_is_ready(answering: HTTPServer, code: int) -> None:
    asked = HEALTHCHECK[-1].replace("8080", str(answering.server_port))

    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == code


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is missing")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_has_nothing_to_say_about_the_units(tmp_path: Path, unit: Path) -> None:
    placed = tmp_path / unit.name
    placed.write_text(unit.read_text("utf-8").replace("/opt/gateway/bin/gateway", sys.executable), "utf-8")

    done = subprocess.run(["systemd-analyze", "verify", placed], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
