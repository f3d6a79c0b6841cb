"""Whatever is wrong is told in clear lines, with exit code 1, and nothing is half-written."""

import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.places import Place, free_port
from tests.store_apis import WooApi

STORE = '[[stores]]\nid = "acme"\nplatform = "woocommerce"\nsecrets = ["s"]\n'
PRIVATE = "[worker]\nallow_private_destinations = true\ntimeout_seconds = 2\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(folder=tmp_path, port=free_port())
    place.write(f"[web]\nport = {place.port}\n{PRIVATE}{STORE}")
    return place


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB, for a database that needs more."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs more rights than these")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)


def test_every_mistake_in_the_settings_is_a_line(place: Place) -> None:
    place.write('[web]\nport = "many"\nprot = 1\n[policy]\nmode = "quiet"\n')

    done = place.run("run")

    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == [
        "gateway: policy.mode: must be one of: off, suppress, anonymize",
        "gateway: web.port: must be a whole number",
        "gateway: web.prot: is not a known key",
    ]
    assert not (place.folder / "instance").exists()


def test_settings_that_are_not_there_are_told_with_a_way_out(place: Place) -> None:
    (place.folder / "settings.toml").unlink()

    done = place.run("check")

    assert done.code == 1
    assert done.err.endswith("there is no such file; name another with --settings PATH\n")


def test_migrate_makes_the_database_and_may_run_again(place: Place) -> None:
    assert [place.run("migrate").code, place.run("migrate").code] == [0, 0]

    assert (place.folder / "instance" / "gateway.db").stat().st_mode & 0o777 == 0o600
    assert place.run("check").out.startswith("database: answers, and its schema is up to date\n")


def test_check_makes_nothing(place: Place) -> None:
    done = place.run("check")

    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == "database: will be made by gateway run or gateway migrate"
    assert [path.name for path in place.folder.iterdir()] == ["settings.toml"]


def test_check_shows_what_was_changed_beside_the_file(place: Place) -> None:
    place.run("migrate")
    database = sqlite3.connect(place.folder / "instance" / "gateway.db")
    with database:
        database.execute(
            'INSERT INTO policies (store_id, version, "values", changed_by, changed_at)'
            " VALUES ('acme', 1, '{\"mode\": \"suppress\"}', 'ada', 0)"
        )
    database.close()

    assert "policy: acme: mode is 'suppress' since version 1; settings.toml says 'off'\n" in place.run("check").out


def test_destination_with_a_typo_is_told_by_its_path(place: Place) -> None:
    place.write(
        f"{PRIVATE}{STORE}"
        '[[destinations]]\nid = "typo"\nurl = "https:/sink.example/data"\n'
        '[[destinations]]\nid = "word"\nurl = "https://sink.example"\nsecret = "hunter2"\n'
    )

    done = place.run("check")

    assert done.code == 1
    assert "gateway: destinations[0].url: must be a URL with http:// or https:// and a host\n" in done.err
    assert "hunter2" not in done.err


def test_mistakes_of_every_sort_are_told_together(place: Place) -> None:
    place.write(
        f'{PRIVATE}{STORE}extra = 1\n[[destinations]]\nid = "a"\nurl = "htp://x"\ntopics = ["order"]\n'
        '[[destinations]]\nid = "b"\nurl = "http://127.0.0.1:9"\nsecret = "hunter2"\n'
    )

    for done in (place.run("check"), place.run("run")):
        assert [line.split(": ")[1] for line in done.err.splitlines()] == [
            "destinations[0].topics",
            "destinations[0].url",
            "destinations[1].secret",
            "stores[0].extra",
        ]


def test_what_a_kind_of_destination_refuses_is_told_by_its_path(place: Place) -> None:
    place.write(
        f"{PRIVATE}{STORE}"
        '[[destinations]]\nid = "secret"\nurl = "http://127.0.0.1:9"\nsecret = "hunter2"\ntopics = ["order"]\n'
        '[destinations.headers]\nHost = "x"\n'
    )

    for command in ("check", "simulate"):
        done = place.run(command, *(("--store", "acme") if command == "simulate" else ()))

        assert done.code == 1
        lines = [line for line in done.err.splitlines() if line.startswith("gateway: destinations[0].")]
        assert [path for line in lines if (path := line.split(": ")[1]) != "destinations[0].url"] == [
            "destinations[0].headers.Host",
            "destinations[0].secret",
            "destinations[0].topics",
        ]
        assert "hunter2" not in done.err


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (
            "http://127.0.0.1:{port}/",
            "(connection_refused); nothing listens there; look at the port, and whether it runs",
        ),
        ("https://no-such-host.invalid/", "(dns_failed); its host is not known; look at the spelling"),
    ],
)
def test_destination_that_cannot_be_reached_fails_the_check(place: Place, url: str, why: str) -> None:
    place.write(f'{PRIVATE}{STORE}[[destinations]]\nid = "away"\nurl = "{url.format(port=free_port())}"\n')

    done = place.run("check")

    assert (done.code, done.err) == (1, f"gateway: destinations[0].url: away cannot be reached {why}\n")


def test_private_destination_is_refused_unless_allowed(place: Place) -> None:
    place.write(f'{STORE}[[destinations]]\nid = "inside"\nurl = "http://127.0.0.1:9/"\n')

    assert "inside cannot be reached (private_address); its address is private, and worker." in place.run("check").err


def test_locked_database_says_what_to_do(place: Place) -> None:
    place.run("migrate")
    holder = sqlite3.connect(place.folder / "instance" / "gateway.db")
    holder.execute("BEGIN IMMEDIATE")

    done = place.run("check")
    holder.close()

    assert done.code == 1
    assert done.err == (
        "gateway: database.url: the database is locked; another program keeps it; end that one, or try again\n"
    )


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://u:hunter2@host/db", "postgresql+psycopg://u:hunter2@host:port/db"]
)
def test_copy_to_what_is_no_database_says_how_one_is_given(place: Place, url: str) -> None:
    done = place.run("database", "copy", "--to", url)

    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "gateway: database.url, or --to, must be sqlite:///PATH or postgresql+psycopg://user:password@host:port/name\n"
    )


def test_copy_to_itself_is_refused_whatever_the_file_is_called(place: Place) -> None:
    place.run("migrate")

    for path in ("instance/gateway.db", place.folder / "instance" / ".." / "instance" / "gateway.db"):
        done = place.run("database", "copy", "--to", f"sqlite:///{path}")

        assert (done.code, done.err) == (1, "gateway: --to is the database that is copied\n")


def test_copy_goes_beside_the_settings(place: Place) -> None:
    place.run("migrate")

    assert place.run("database", "copy", "--to", "sqlite:///copy/gateway.db").code == 0
    assert (place.folder / "copy" / "gateway.db").is_file()


@pytest.mark.parametrize("url", ["sqlite:///settings.toml/gateway.db", "sqlite:///folder"])
def test_place_where_no_file_can_be_is_told(place: Place, url: str) -> None:
    (place.folder / "folder").mkdir()
    place.write(f'[database]\nurl = "{url}"\n')

    for command in ("migrate", "check"):
        done = place.run(command)

        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("gateway: ")
        assert done.err.count("\n") == 1
        assert "cannot be" in done.err


def test_file_that_is_no_database_is_left_as_it_is(place: Place) -> None:
    (place.folder / "instance").mkdir()
    file = place.folder / "instance" / "gateway.db"
    file.write_text("notes of somebody, and more than a few of them")

    done = place.run("migrate")

    assert (done.code, done.err) == (1, "gateway: the database file is not a database; look at database.url\n")
    assert file.read_text() == "notes of somebody, and more than a few of them"


@pytest.mark.parametrize(
    "arguments",
    [
        ("token", "list"),
        ("user", "add", "ada", "--password-stdin"),
        ("key", "rotate"),
        ("replay", "--destination", "away", "--since", "2026-11-21"),
        ("reconcile", "--store", "acme", "--since", "2026-11-21"),
    ],
)
def test_command_before_there_is_a_database_makes_nothing(place: Place, arguments: tuple[str, ...]) -> None:
    place.write(f'{STORE}[[destinations]]\nid = "away"\nurl = "https://sink.example"\n')

    done = place.run(*arguments, stdin="correct horse battery\n")

    assert (done.code, done.out) == (1, "")
    assert "the database file cannot be opened; run `gateway migrate` when there is none yet" in done.err
    assert [path.name for path in place.folder.iterdir()] == ["settings.toml"]


def test_unmigrated_database_says_which_command_helps(place: Place) -> None:
    (place.folder / "instance").mkdir()
    sqlite3.connect(place.folder / "instance" / "gateway.db").close()

    done = place.run("token", "add", "x", "--store", "acme")

    assert done.code == 1
    assert "run `gateway migrate`" in done.err


def test_full_disk_is_told_and_can_be_mended(place: Place, small_disk: Path) -> None:
    place.write('[database]\nurl = "sqlite:///disk/gateway.db"\n')

    full = place.run("migrate")
    remount(small_disk, "size=10m")
    mended = place.run("migrate")

    assert (full.code, full.err) == (1, "gateway: the disk is full; make room and try again\n")
    assert (mended.code, mended.out) == (0, "the schema is up to date\n")


def test_read_only_database_is_told(place: Place, small_disk: Path) -> None:
    remount(small_disk, "size=10m")
    place.write(f'[database]\nurl = "sqlite:///disk/gateway.db"\n{STORE}')
    place.run("migrate")
    remount(small_disk, "ro")

    for arguments in (("migrate",), ("check",), ("token", "add", "x", "--store", "acme")):
        done = place.run(*arguments)

        assert (done.code, done.out) == (1, ""), arguments
        assert done.err.count("\n") == 1
        assert any(word in done.err for word in ("read-only", "cannot be opened"))


def test_processes_that_share_need_postgres(place: Place) -> None:
    done = place.run("web")

    assert done.code == 1
    assert done.err == "gateway: gateway web shares a PostgreSQL database; with SQLite use gateway run\n"


def test_unreadable_key_is_not_replaced(place: Place) -> None:
    place.run("migrate")
    key = place.folder / "instance" / "key"
    key.write_text("this is no key\n")

    done = place.run("key", "rotate")

    assert done.code == 1
    assert done.err == f"gateway: {key} holds no key: 32 bytes in base64; restore it, it opens what is kept\n"
    assert key.read_text() == "this is no key\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("token", "add", "x", "--store", "nope"), "--store: there is no store nope in the settings"),
        (("token", "revoke", "nobody"), "name: there is no valid token named nobody"),
        (("simulate", "--store", "nope"), "--store: there is no store nope in the settings"),
        (
            ("replay", "--destination", "nope", "--since", "2026-01-01T00:00:00Z"),
            "--destination: there is no destination nope in the settings",
        ),
        (
            ("reconcile", "--store", "nope", "--since", "2026-01-01T00:00:00Z"),
            "--store: there is no store nope in the settings",
        ),
    ],
)
def test_names_that_mean_nothing_are_told(place: Place, arguments: tuple[str, ...], told: str) -> None:
    place.run("migrate")

    done = place.run(*arguments)

    assert (done.code, done.err) == (1, f"gateway: {told}\n")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"key": "ck_wrong"}, "http_401); the store refuses the credentials of [stores.api]"),
        ({"path": "/shop"}, "http_404); there is no such API; look at the address in [stores.api]"),
        (
            {"scheme": "http", "host": "192.0.2.1"},
            "https_needed); credentials go by https alone; look at the address in [stores.api]",
        ),
    ],
)
def test_store_that_cannot_be_read_is_told_in_one_line(place: Place, changes: dict[str, str], told: str) -> None:
    with WooApi() as woo:
        given = {"scheme": "http", "host": woo.address, "path": "", "key": woo.key} | changes
        url = "{scheme}://{host}{path}".format_map(given)
        api = f'[stores.api]\nurl = "{url}"\nkey = "{given["key"]}"\nsecret = "{woo.secret}"\n'
        place.write(f"{PRIVATE}{STORE}{api}")
        place.run("migrate")
        done = place.run_alone("reconcile", "--store", "acme", "--since", "2026-01-01T00:00:00Z")
    assert (done.code, done.err) == (1, f"gateway: acme could not be read to the end ({told}\n")


@pytest.mark.parametrize("last", ["x", "0", "-1", "1.5", "", "²", "1000000000"])
def test_number_of_orders_that_is_none_says_what_is_allowed(place: Place, last: str) -> None:
    done = place.run("simulate", "--store", "acme", f"--last={last}")

    assert done.code == 2
    assert done.err.splitlines()[-1] == (
        "gateway simulate: error: argument --last: must be a whole number from 1 to 999999999"
    )


@pytest.mark.parametrize("name", ["", " ", "a\tb", "two\nlines", "x" * 81, "\udcff"])
def test_name_that_would_spoil_the_list_of_tokens_is_refused(place: Place, name: str) -> None:
    place.run("migrate")

    done = place.run("token", "add", name, "--store", "acme")

    assert (done.code, done.out) == (1, "")
    assert done.err == "gateway: name: must be 1 to 80 characters that can be printed\n"


def test_password_is_not_asked_for_without_a_terminal(place: Place) -> None:
    place.run("migrate")

    done = place.run_alone("user", "add", "ada")

    assert (done.code, done.out) == (1, "")
    assert done.err == "gateway: password: cannot be asked for without a terminal; use --password-stdin\n"


def test_password_of_bytes_that_are_no_text_is_refused(place: Place) -> None:
    place.run("migrate")

    done = place.run("user", "add", "ada", "--password-stdin", stdin="correct h\udcffrse battery\n")

    assert (done.code, done.err) == (1, "gateway: password: must be text in UTF-8\n")
