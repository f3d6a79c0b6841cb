"""What the environment and files say in place of settings.toml."""

from pathlib import Path

import pytest

from tests.settings.files import STORE, load, mistakes


def test_variable_overrides_a_key(tmp_path: Path) -> None:
    assert load(tmp_path, "[web]\nport = 8080", {"GATEWAY__WEB__PORT": "9000"}).web.port == 9000


def test_variable_sets_a_key_that_the_file_does_not_name(tmp_path: Path) -> None:
    settings = load(tmp_path, "", {"GATEWAY__DATABASE__URL": "postgresql+psycopg://u:p@h/db"})

    assert settings.database.url == "postgresql+psycopg://u:p@h/db"


def test_variables_reach_into_lists_and_tables(tmp_path: Path) -> None:
    variables = {
        "GATEWAY__STORES__0__POLICY__MODE": "suppress",
        "GATEWAY__STORES__0__POLICY__UNKNOWN_BY_ORIGIN__ADMIN": "allow",
        "GATEWAY__STORES__0__SECRETS__0": "other",
        "GATEWAY__STORES__0__SECRETS__1": "second",
    }

    store = load(tmp_path, STORE, variables).stores[0]

    assert store.secrets == ("other", "second")
    assert store.policy["mode"] == "suppress"
    assert store.policy["unknown_by_origin"] == {"admin": "allow"}


def test_whole_stores_can_stand_in_the_environment(tmp_path: Path) -> None:
    variables = {}
    for number in range(12):
        variables[f"GATEWAY__STORES__{number}__ID"] = f"shop-{number}"
        variables[f"GATEWAY__STORES__{number}__PLATFORM"] = "shopify"
        variables[f"GATEWAY__STORES__{number}__SECRETS"] = '["s"]'

    settings = load(tmp_path, "", variables)

    assert [store.id for store in settings.stores] == [f"shop-{number}" for number in range(12)]


def test_text_stays_text_whatever_it_looks_like(tmp_path: Path) -> None:
    variables = {"GATEWAY__STORES__0__SECRETS__0": "12345", "GATEWAY__STORES__0__ID": "2026"}

    store = load(tmp_path, STORE, variables).stores[0]

    assert (store.id, store.secrets) == ("2026", ("12345",))


def test_text_may_stand_in_quotes(tmp_path: Path) -> None:
    assert load(tmp_path, "", {"GATEWAY__WEB__HOST": '"::1"'}).web.host == "::1"


def test_lists_numbers_and_flags_are_written_as_in_the_file(tmp_path: Path) -> None:
    variables = {
        "GATEWAY__WEB__TRUSTED_PROXIES": '["10.0.0.0/8", "::1"]',
        "GATEWAY__WORKER__POLL_SECONDS": "0.5",
        "GATEWAY__WORKER__ALLOW_PRIVATE_DESTINATIONS": "true",
    }

    settings = load(tmp_path, "", variables)

    assert settings.web.trusted_proxies == ("10.0.0.0/8", "::1")
    assert settings.worker.poll_seconds == 0.5
    assert settings.worker.allow_private_destinations is True


def test_wrong_value_names_the_variable_that_it_came_from(tmp_path: Path) -> None:
    found = mistakes(tmp_path, "[web]\nport = 8080", {"GATEWAY__WEB__PORT": "many"})

    assert found == {"web.port": "must be a whole number (set by GATEWAY__WEB__PORT)"}


@pytest.mark.parametrize(
    "name",
    [
        "GATEWAY__WEB__PROT",
        "GATEWAY__WEB__PORT__X",
        "GATEWAY__",
        "GATEWAY__WEB__",
        "GATEWAY__STORES__5__ID",
        "GATEWAY__STORES__X__ID",
        "GATEWAY__STORES__²__ID",
        "GATEWAY__WEB__0",
    ],
)
def test_variable_that_names_no_key_is_a_mistake(tmp_path: Path, name: str) -> None:
    assert mistakes(tmp_path, STORE, {name: "1"}) == {name: "names no key that can be set"}


def test_variable_does_not_reach_through_what_is_no_table(tmp_path: Path) -> None:
    found = mistakes(tmp_path, "web = 5", {"GATEWAY__WEB__PORT": "1"})

    assert found == {"GATEWAY__WEB__PORT": "names no key that can be set", "web": "must be a table"}


def test_other_variables_are_left_alone(tmp_path: Path) -> None:
    assert load(tmp_path, "", {"GATEWAY_KEY": "x", "GATEWAY_SETTINGS": "y", "HOME": "/"}).stores == ()


def test_text_comes_from_a_variable(tmp_path: Path) -> None:
    settings = load(tmp_path, STORE.replace('"s"', '"env:ACME_SECRET"'), {"ACME_SECRET": " 007 "})

    assert settings.stores[0].secrets == (" 007 ",)


def test_text_comes_from_a_file_beside_the_settings(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")

    settings = load(tmp_path, STORE.replace('"s"', '"file:secret"'))

    assert settings.stores[0].secrets == ("from a file",)


def test_number_may_come_from_a_variable(tmp_path: Path) -> None:
    assert load(tmp_path, '[web]\nport = "env:PORT"', {"PORT": "9000"}).web.port == 9000


def test_override_may_name_a_variable_itself(tmp_path: Path) -> None:
    variables = {"GATEWAY__STORES__0__SECRETS__0": "env:ACME_SECRET", "ACME_SECRET": "s3"}

    assert load(tmp_path, STORE, variables).stores[0].secrets == ("s3",)


def test_headers_and_nested_tables_come_from_variables_too(tmp_path: Path) -> None:
    text = '[[destinations]]\nid = "d"\nurl = "env:SINK"\n[destinations.headers]\nX-Key = "env:SINK_KEY"\n'

    destination = load(tmp_path, text, {"SINK": "https://sink.example", "SINK_KEY": "k"}).destinations[0]

    assert (destination.url, destination.headers) == ("https://sink.example", {"X-Key": "k"})


def test_what_is_not_there_is_told_once_with_its_path(tmp_path: Path) -> None:
    text = STORE.replace('"s"', '"env:ACME_SECRET", "file:nothing"')

    assert mistakes(tmp_path, text) == {
        "stores[0].secrets[0]": "the environment variable ACME_SECRET is not set",
        "stores[0].secrets[1]": f"the file {tmp_path / 'nothing'} cannot be read: No such file or directory",
    }


def test_file_that_is_no_text_or_no_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"\xff\xd8\xff")
    text = STORE.replace('"s"', '"file:image", "file:."')

    found = mistakes(tmp_path, text)

    assert found["stores[0].secrets[0]"].endswith("cannot be read: is not text")
    assert found["stores[0].secrets[1]"].endswith("cannot be read: Is a directory")


def test_key_may_be_made_later_when_its_variable_is_not_set(tmp_path: Path) -> None:
    assert load(tmp_path, '[security]\nkey = "env:GATEWAY_KEY"').security.key == ""


def test_empty_variable_is_as_good_as_none(tmp_path: Path) -> None:
    found = mistakes(tmp_path, STORE.replace('"s"', '"env:ACME_SECRET"'), {"ACME_SECRET": ""})

    assert found == {"stores[0].secrets[0]": "the environment variable ACME_SECRET is not set"}
