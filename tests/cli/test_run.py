"""`gateway run` as an operator sees it, and the commands that work beside it."""

import base64
import json
import re
import stat
from collections.abc import Iterator
from importlib.metadata import version
from itertools import repeat
from pathlib import Path

import pytest

from gateway.model.order import Platform
from tests.captures import capture
from tests.cli.places import Place, Receiver, free_port, wait_until
from tests.shops import a_woo_order, an_entry
from tests.web.test_webhooks_http import woo_headers

ORDER = capture(Platform.WOOCOMMERCE, "012")
ORDER_ID = str(json.loads(ORDER.body)["id"])
TIME = "2020-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    end = receiver.open()
    yield receiver
    end()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Place]:
    place = Place(folder=tmp_path_factory.mktemp("run"), port=free_port())
    place.write(
        f"[web]\nport = {place.port}\nmax_body_bytes = 200000\n[worker]\nallow_private_destinations = true\n"
        '[policy]\nmode = "suppress"\nhold_seconds = 0\n'
        f'[[stores]]\nid = "acme"\nplatform = "woocommerce"\nsecrets = ["{ORDER.secret}"]\n'
        '[[stores]]\nid = "other"\nplatform = "shopify"\nsecrets = ["s"]\n'
        f'[[destinations]]\nid = "sink"\nurl = "{receiver.address}"\n'
    )
    place.start()
    yield place
    place.stop()


@pytest.fixture(scope="module")
def token(place: Place) -> str:
    """A token of the store, made while the gateway runs."""
    return place.run("token", "add", "reader", "--store", "acme").out.splitlines()[-1]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_it_says_where_webhooks_go_and_where_the_pages_are(place: Place) -> None:
    said = place.said()

    assert f"webhooks of acme (woocommerce): http://127.0.0.1:{place.port}/webhooks/acme\n" in said
    assert f"webhooks of other (shopify): http://127.0.0.1:{place.port}/webhooks/other\n" in said
    assert f"admin pages: http://127.0.0.1:{place.port}/admin/\n" in said
    assert re.search(r"first user \(good once, for an hour\): http://\S+/admin/welcome/\S{40,}\n", said)


def test_it_makes_a_key_and_a_database_that_only_their_owner_reads(place: Place) -> None:
    key, database = place.folder / "instance" / "key", place.folder / "instance" / "gateway.db"

    assert len(base64.b64decode(key.read_text())) == 32
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(database.stat().st_mode) == 0o600


def test_order_of_a_real_store_arrives_with_consent(place: Place, receiver: Receiver, token: str) -> None:
    answer = place.ask("POST", "/webhooks/acme", ORDER.body, ORDER.headers)
    again = place.ask("POST", "/webhooks/acme", ORDER.body, ORDER.headers)

    assert (answer.code, json.loads(answer.body)) == (200, {"status": "accepted", "reason": ""})
    assert (again.code, json.loads(again.body)["status"]) == (200, "duplicate")
    wait_until(lambda: any(ORDER_ID.encode() in body for body in receiver.bodies), "the order arrives")
    arrived = json.loads(receiver.bodies[0])
    assert {**arrived, "consent": None} == {**json.loads(ORDER.body), "consent": None}
    assert arrived["consent"]["status"] == "unknown"
    assert receiver.headers[0]["X-Gateway-Store"] == "acme"
    shown = json.loads(place.ask("GET", f"/api/v1/stores/acme/orders/{ORDER_ID}", headers=bearer(token)).body)
    assert shown["deliveries"][0]["destination"] == "sink"
    assert shown["order_time"]["applied"] == {"analytics": True, "marketing": True}


def test_refused_signature_is_answered_in_json(place: Place) -> None:
    answer = place.ask("POST", "/webhooks/acme", b" " + ORDER.body[1:], ORDER.headers)

    assert (answer.code, json.loads(answer.body)["status"]) == (401, "signature")


def test_body_in_chunks_is_read_like_any_other(place: Place) -> None:
    body = json.dumps(a_woo_order()).encode()
    halves = iter([body[:100], body[100:]])

    answer = place.ask(
        "POST", "/webhooks/acme", halves, {**woo_headers(body, secret=ORDER.secret), "Transfer-Encoding": "chunked"}
    )

    assert (answer.code, json.loads(answer.body)["status"]) == (200, "accepted")


def test_body_in_chunks_that_never_ends_is_cut_off(place: Place) -> None:
    chunks = repeat(b"x" * 10_000, 40)

    answer = place.ask("POST", "/webhooks/acme", chunks, {"Transfer-Encoding": "chunked"})

    assert (answer.code, json.loads(answer.body)["status"]) == (413, "too_large")


def test_health_and_metrics_answer(place: Place) -> None:
    assert json.loads(place.ask("GET", "/healthz").body) == {"status": "ok"}
    assert json.loads(place.ask("GET", "/readyz").body) == {"status": "ok"}
    place.ask("POST", "/webhooks/acme", b"webhook_id=1")
    metrics = place.ask("GET", "/metrics").text
    assert 'gateway_webhooks_total{reason="ping",status="ignored",store="acme"}' in metrics
    assert "gateway_rows_waiting" in metrics


def test_log_is_json_line_by_line(place: Place) -> None:
    place.ask("POST", "/webhooks/acme", b"webhook_id=1")

    lines = [json.loads(line) for line in place.said("log").splitlines()]
    assert {"webhook"} <= {line["log"] for line in lines}


def test_token_counts_at_once_and_ends_at_once(place: Place, token: str) -> None:
    path = f"/api/v1/stores/acme/orders/{ORDER_ID}"
    added = place.run("token", "add", "passing", "--store", "acme")
    passing = added.out.splitlines()[-1]
    before = place.ask("GET", path, headers=bearer(passing)).code
    revoked = place.run("token", "revoke", "passing")
    after = place.ask("GET", path, headers=bearer(passing)).code
    listed = place.run("token", "list").out

    assert (added.code, revoked.code) == (0, 0)
    assert before in {200, 404}
    assert after == 401
    assert re.search(r"^passing\tacme\t.*revoked", listed, re.MULTILINE)
    assert re.search(r"^reader\tacme\t.*valid", listed, re.MULTILINE)
    assert token not in listed
    assert passing not in listed


def test_token_opens_its_own_store_only(place: Place, token: str) -> None:
    answers = [
        place.ask("GET", "/api/v1/stores/other/orders/1", headers=bearer(token)),
        place.ask("GET", "/api/v1/stores/acme/orders/1"),
        place.ask("GET", "/api/v1/stores/acme/orders/1", headers=bearer("cgw_wrong")),
        place.ask("GET", "/api/v1/stores/acme/orders/1", headers={"Authorization": f"Basic {token}"}),
        place.ask("GET", "/api/v1/stores/acme/orders/1", headers=bearer(token)),
    ]

    assert [answer.code for answer in answers] == [403, 401, 401, 401, 404]
    assert all("status" in json.loads(answer.body) for answer in answers)


def test_user_is_made_with_a_password_from_standard_input(place: Place) -> None:
    added = place.run("user", "add", "ada", "--role", "owner", "--password-stdin", stdin="correct horse battery\n")
    again = place.run("user", "add", "ada", "--password-stdin", stdin="correct horse battery\n")
    short = place.run("user", "add", "bob", "--password-stdin", stdin="short\n")

    assert (added.code, added.out) == (0, "user ada may sign in as owner\n")
    for refused in (again, short):
        assert refused.code == 1
        assert refused.err.startswith("gateway: ")
        assert refused.err.count("\n") == 1
    assert "horse" not in again.err + added.out


def test_simulate_shows_what_another_policy_would_do(place: Place) -> None:
    body = json.dumps(a_woo_order(4711, an_entry({"analytics": False, "marketing": False}))).encode()
    place.ask("POST", "/webhooks/acme", body, woo_headers(body, secret=ORDER.secret))

    told = place.run("simulate", "--store", "acme", "--mode", "anonymize", "--last", "50", "--json")

    result = json.loads(told.out)
    change = next(one for one in result["changes"] if one["order_id"] == "4711")
    assert (change["before"], change["after"]) == ("suppress", "send_redacted")
    assert place.run("simulate", "--store", "acme", "--mode", "off").code == 0
    assert "acme: 1 order, " in place.run("simulate", "--store", "acme", "--last", "1").out


def test_replay_sends_again_what_failed(place: Place, receiver: Receiver) -> None:
    receiver.code = 400
    body = json.dumps(a_woo_order(4712)).encode()
    place.ask("POST", "/webhooks/acme", body, woo_headers(body, secret=ORDER.secret))
    wait_until(lambda: 'state="failed"' in place.ask("GET", "/metrics").text, "the delivery fails")
    receiver.code = 204

    again = place.run("replay", "--destination", "sink", "--since", TIME)

    assert (again.code, again.out) == (0, "1 delivery goes again\n")
    wait_until(lambda: sum(json.loads(one)["id"] == 4712 for one in receiver.bodies) == 2, "it arrives")


def test_check_is_content_beside_a_running_gateway(place: Place) -> None:
    told = place.run("check")

    assert (told.code, told.err) == (0, "")
    assert "destination sink: can be reached\n" in told.out
    assert told.out.splitlines()[-1] == "all is well: 2 stores, 1 destination"


def test_second_gateway_on_the_same_file_is_refused(place: Place, tmp_path: Path) -> None:
    elsewhere = Place(folder=tmp_path, port=free_port())
    file = place.folder / "instance" / "gateway.db"
    elsewhere.write(f'[web]\nport = {elsewhere.port}\n[database]\nurl = "sqlite:///{file}"\n')

    second = elsewhere.run("run")

    assert (second.code, second.out) == (1, "")
    assert second.err == f"gateway: another gateway is running on {file}; stop it first\n"
    assert place.ask("GET", "/readyz").code == 200


def test_host_that_is_not_known_is_told_before_anything_is_made(tmp_path: Path) -> None:
    place = Place(folder=tmp_path, port=free_port())
    place.write(f'[web]\nhost = "no-such-host.invalid"\nport = {place.port}\n')

    refused = place.run("run")

    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith(f"gateway: no-such-host.invalid:{place.port} cannot be used (")
    assert refused.err.endswith("); look at web.host and web.port\n")
    assert [path.name for path in tmp_path.iterdir()] == ["settings.toml"]


def test_port_in_use_is_told_before_anything_is_made(place: Place, tmp_path: Path) -> None:
    elsewhere = Place(folder=tmp_path, port=place.port)
    elsewhere.write(f"[web]\nport = {place.port}\n")

    refused = elsewhere.run("run")

    assert (refused.code, refused.out) == (1, "")
    assert refused.err == f"gateway: 127.0.0.1:{place.port} is in use; choose another with web.port\n"
    assert not (tmp_path / "instance").exists()


def test_it_ends_when_asked_and_leaves_nothing_open(place: Place) -> None:
    assert place.stop() == 0

    assert not (place.folder / "instance" / "gateway.db-wal").exists()
    with pytest.raises(ConnectionRefusedError):
        place.ask("GET", "/healthz")


@pytest.mark.parametrize(
    "arguments",
    [
        ("frobnicate",),
        ("token",),
        ("run", "--nonsense"),
        ("worker", "--metrics-port", "70000"),
        ("simulate", "--store", "a", "--last", "0"),
    ],
)
def test_wrong_use_is_told_apart_from_failure(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = Place(folder=tmp_path, port=0).run(*arguments)

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("usage: gateway")


def test_version_is_that_of_the_package(tmp_path: Path) -> None:
    done = Place(folder=tmp_path, port=0).run_alone("--version")

    assert (done.code, done.out) == (0, f"gateway {version('consent-gateway')}\n")
