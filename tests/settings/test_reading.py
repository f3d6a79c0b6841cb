"""What settings.toml comes to, and how mistakes are told."""

import base64
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from gateway.errors import SettingsInvalid
from gateway.settings import (
    DEFAULT_POLICY,
    ApiSettings,
    DestinationSettings,
    Settings,
    WebSettings,
    WorkerSettings,
    decode_key,
    load_settings,
    settings_path,
)
from tests.settings.files import STORE, load, mistakes

KEY = base64.b64encode(bytes(32)).decode()


def test_empty_file_means_every_default(tmp_path: Path) -> None:
    settings = load(tmp_path, "")

    assert settings.web == WebSettings()
    assert settings.worker == WorkerSettings()
    assert settings.policy == dict(DEFAULT_POLICY)
    assert settings.stores == ()
    assert settings.folder == tmp_path.resolve()


def test_store_becomes_a_value(tmp_path: Path) -> None:
    text = (
        STORE + 'origins = ["https://shop.example", "null"]\ntest_orders = true\n'
        '[stores.allow]\nmeta_keys = ["gift"]\n'
        '[stores.api]\nurl = "https://shop.example"\nkey = "k"\nsecret = "s"\nreconcile_minutes = 5\n'
        '[stores.renewal_detection]\napp_ids = ["7"]\ntags = ["renewal"]\n'
    )

    store = load(tmp_path, text).store("acme")

    assert store is not None
    assert (store.platform, store.secrets, store.test_orders) == ("woocommerce", ("s",), True)
    assert store.origins == ("https://shop.example", "null")
    assert store.allow_meta_keys == ("gift",)
    assert (store.renewal_app_ids, store.renewal_tags) == (("7",), ("renewal",))
    assert store.api == ApiSettings(url="https://shop.example", key="k", secret="s", reconcile_minutes=5)
    assert store.api.is_configured


def test_destination_becomes_a_value(tmp_path: Path) -> None:
    text = (
        '[[destinations]]\nid = "sink"\nurl = "https://sink.example"\npurposes = ["marketing"]\n'
        'topics = ["orders", "refunds"]\n[destinations.headers]\nX-Key = "v"\n'
    )

    assert load(tmp_path, text).destinations == (
        DestinationSettings(
            id="sink",
            kind="webhook",
            url="https://sink.example",
            purposes=("marketing",),
            topics=("orders", "refunds"),
            headers={"X-Key": "v"},
        ),
    )


def test_store_policy_lies_over_the_policy_for_all_stores(tmp_path: Path) -> None:
    text = (
        '[policy]\nmode = "suppress"\nhold_seconds = 5\n[policy.unknown_by_origin]\nadmin = "allow"\npos = "allow"\n'
        + STORE
        + '[stores.policy]\nmode = "anonymize"\n[stores.policy.unknown_by_origin]\npos = "deny"\n'
    )

    store = load(tmp_path, text).stores[0]

    assert store.policy["mode"] == "anonymize"
    assert store.policy["hold_seconds"] == 5
    assert store.policy["unknown"] == "allow"
    assert store.policy["unknown_by_origin"] == {"admin": "allow", "pos": "deny"}


def test_defaults_stay_as_they_are_whatever_a_store_says(tmp_path: Path) -> None:
    load(tmp_path, STORE + '[stores.policy.unknown_by_origin]\npos = "deny"\n')

    assert DEFAULT_POLICY["unknown_by_origin"] == {}


def test_sqlite_file_lies_in_the_folder_of_the_settings(tmp_path: Path) -> None:
    assert load(tmp_path, "").database.url == f"sqlite:///{tmp_path.resolve()}/instance/gateway.db"
    assert load(tmp_path, '[database]\nurl = "sqlite:////var/g.db"').database.url == "sqlite:////var/g.db"


def test_address_of_a_server_stays_as_it_is(tmp_path: Path) -> None:
    settings = load(tmp_path, '[database]\nurl = "postgresql+psycopg://u:p@h/db"')

    assert settings.database.url == "postgresql+psycopg://u:p@h/db"
    assert not settings.database.is_sqlite


def test_base_url_is_the_public_one_where_there_is_one(tmp_path: Path) -> None:
    assert load(tmp_path, "[web]\nport = 9").web.base_url == "http://127.0.0.1:9"
    assert load(tmp_path, '[web]\npublic_url = "https://g.example/"').web.base_url == "https://g.example"


def test_every_mistake_is_told_at_once_with_its_path(tmp_path: Path) -> None:
    text = (
        'extra = 1\n[web]\nport = 0\n[worker]\nlease_seconds = 5\n[policy]\nmode = "quiet"\n'
        '[[stores]]\nid = "A!"\nplatform = "magento"\nsecrets = []\n'
        '[stores.policy]\nmode = "loud"\nnoise = 1\n[stores.policy.unknown_by_origin]\nmoon = "deny"\npos = "perhaps"\n'
        '[[stores]]\nplatform = "shopify"\nsecrets = ["ok", ""]\n'
        '[[destinations]]\nid = "d"\nurl = "htp://sink.example"\nstores = ["acme"]\npurposes = ["fun"]\n'
    )

    assert mistakes(tmp_path, text) == {
        "extra": "is not a known key",
        "web.port": "must be 1 to 65535",
        "worker.lease_seconds": "must exceed timeout_seconds",
        "policy.mode": "must be one of: off, suppress, anonymize",
        "stores[0].id": "must be 1 to 40 of a-z, 0-9 and -",
        "stores[0].platform": "must be one of: woocommerce, shopify",
        "stores[0].secrets": "needs at least one secret",
        "stores[0].policy.mode": "must be one of: off, suppress, anonymize",
        "stores[0].policy.noise": "is not a known key",
        "stores[0].policy.unknown_by_origin.moon": "must be one of: checkout, admin, api, renewal, pos, import",
        "stores[0].policy.unknown_by_origin.pos": "must be one of: allow, deny",
        "stores[1].id": "is missing",
        "stores[1].secrets[1]": "must not be empty",
        "destinations[0].url": "must be a URL with http:// or https:// and a host",
        "destinations[0].stores[0]": "is no store of these settings",
        "destinations[0].purposes[0]": "must be one of: marketing, analytics",
    }


def test_repeated_ids_are_found_beside_other_mistakes(tmp_path: Path) -> None:
    broken = STORE.replace('"woocommerce"', '"magento"')

    found = mistakes(tmp_path, STORE + broken + "[web]\nport = true\n")

    assert found["stores[1].id"] == "is used twice"
    assert found["web.port"] == "must be a whole number"
    assert "stores[0].id" not in found


def test_destinations_need_ids_of_their_own(tmp_path: Path) -> None:
    one = '[[destinations]]\nid = "d"\nurl = "https://sink.example"\n'

    assert mistakes(tmp_path, one + one) == {"destinations[1].id": "is used twice"}


@pytest.mark.parametrize(
    ("platform", "api", "text"),
    [
        ("woocommerce", 'key = "k"', "needs url, key and secret together"),
        ("woocommerce", 'url = "https://s.example"\nsecret = "s"', "needs url, key and secret together"),
        ("shopify", 'token = "t"', "needs domain and token together"),
    ],
)
def test_half_of_a_stores_credentials_is_a_mistake(tmp_path: Path, platform: str, api: str, text: str) -> None:
    store = STORE.replace("woocommerce", platform)

    assert mistakes(tmp_path, f"{store}[stores.api]\n{api}\n") == {"stores[0].api": text}


def test_address_of_the_shop_alone_is_no_credential(tmp_path: Path) -> None:
    settings = load(tmp_path, STORE + '[stores.api]\nurl = "https://shop.example"\n')

    assert not settings.stores[0].api.is_configured


@pytest.mark.parametrize(
    ("text", "path", "told"),
    [
        ("web = 5", "web", "must be a table"),
        ('policy = "off"', "policy", "must be a table"),
        ("web = []", "web", "must be a table"),
        ('stores = "acme"', "stores", "must be a list of tables: write its name in double brackets"),
        ('[stores]\nid = "acme"', "stores", "must be a list of tables: write its name in double brackets"),
        ('stores = ["acme"]', "stores[0]", "must be a table"),
        ("[web]\nhost = 5", "web.host", "must be text in quotes"),
        ('[web]\nhost = ""', "web.host", "must not be empty"),
        ('[web]\nport = "80"', "web.port", "must be a whole number"),
        ("[web]\nport = 80.0", "web.port", "must be a whole number"),
        ("[web]\nport = true", "web.port", "must be a whole number"),
        (f"[web]\nport = {10**40}", "web.port", "must be 1 to 65535"),
        ("[web]\ntrusted_proxies = [1]", "web.trusted_proxies[0]", "must be text in quotes"),
        ('[web]\ntrusted_proxies = "10.0.0.1"', "web.trusted_proxies", "must be a list"),
        ('[web]\ntrusted_proxies = ["proxy"]', "web.trusted_proxies[0]", "must be an IP address or network"),
        ("[worker]\npoll_seconds = nan", "worker.poll_seconds", "must be a number"),
        ("[worker]\npoll_seconds = inf", "worker.poll_seconds", "must be a number"),
        ("[worker]\npoll_seconds = true", "worker.poll_seconds", "must be a number"),
        ('[worker]\npoll_seconds = "1"', "worker.poll_seconds", "must be a number"),
        ("[worker]\npoll_seconds = 0", "worker.poll_seconds", "must be more than 0, at most 86400"),
        ("[worker]\npoll_seconds = 2026-01-01", "worker.poll_seconds", "must be a number"),
        (f"[worker]\nretry_horizon_hours = {10**400}", "worker.retry_horizon_hours", "must be a number"),
        ("[worker]\nretry_horizon_hours = 1e300", "worker.retry_horizon_hours", "must be more than 0, at most 8784"),
        ("[worker]\nallow_private_destinations = 1", "worker.allow_private_destinations", "must be true or false"),
        ('[worker]\nallow_private_destinations = "yes"', "worker.allow_private_destinations", "must be true or false"),
        ("[policy]\nevent_ttl_seconds = 9", "policy.event_ttl_seconds", "must be 10 to 900"),
        ("[policy]\nunknown_by_origin = 1", "policy.unknown_by_origin", "must be a table"),
        ("[retention]\nbody_days = -1", "retention.body_days", "must be more than 0, at most 36500"),
        ('[security]\nkey = "c2hvcnQ="', "security.key", "must be 32 bytes in base64"),
        ('[security]\nprevious_keys = [""]', "security.previous_keys[0]", "must be 32 bytes in base64"),
        (
            '[database]\nurl = "mysql://h/db"',
            "database.url",
            "must start with sqlite:/// or postgresql+psycopg://",
        ),
        (
            '[telemetry]\notlp_endpoint = "collector:4318"',
            "telemetry.otlp_endpoint",
            "must be a URL with http:// or https:// and a host",
        ),
        (
            STORE + 'origins = ["https://shop.example/"]',
            "stores[0].origins[0]",
            'must be scheme and host only, e.g. "https://shop.example", or "null"',
        ),
        (STORE + 'secrets2 = ["x"]', "stores[0].secrets2", "is not a known key"),
    ],
)
def test_mistake_is_told_at_its_path(tmp_path: Path, text: str, path: str, told: str) -> None:
    assert mistakes(tmp_path, text) == {path: told}


@pytest.mark.parametrize(
    "url", ["sink.example", "ftp://sink.example", "https://", "https://sink.example:99999", "https://s ink.example", ""]
)
def test_destination_needs_a_url_that_can_be_called(tmp_path: Path, url: str) -> None:
    found = mistakes(tmp_path, f'[[destinations]]\nid = "d"\nurl = "{url}"\n')

    assert found == {"destinations[0].url": "must be a URL with http:// or https:// and a host"}


def test_messages_never_show_values(tmp_path: Path) -> None:
    canary = "canary-5eb1"
    text = (
        f'[security]\nkey = "{canary}"\nprevious_keys = ["{canary}"]\n[database]\nurl = "{canary}"\n'
        f'[policy]\nmode = "{canary}"\n[web]\nport = "{canary}"\npublic_url = "https://u:{canary}@h"\n'
        f'[[stores]]\nid = "{canary}!"\nplatform = "{canary}"\nsecrets = "{canary}"\norigins = ["{canary}"]\n'
        f'[stores.api]\nkey = "{canary}"\nreconcile_minutes = "{canary}"\n'
        f'[[destinations]]\nid = "{canary}!"\nurl = "{canary}"\nsecret = ["{canary}"]\nheaders = "{canary}"\n'
        f'stores = ["{canary}"]\n'
    )

    found = mistakes(tmp_path, text, {"GATEWAY__WORKER__THREADS": canary, "GATEWAY__NOTHING": canary})

    assert len(found) == 18
    assert canary not in str(found)


def test_secrets_are_not_in_a_repr(tmp_path: Path) -> None:
    canary = "canary-5eb1"
    text = (
        f'[security]\nkey = "{KEY}"\n[database]\nurl = "postgresql+psycopg://u:{canary}@h/db"\n'
        + STORE.replace('"s"', f'"{canary}"')
        + f'[stores.api]\nurl = "https://shop.example"\nkey = "{canary}"\nsecret = "{canary}"\ntoken = "{canary}"\n'
        f'[[destinations]]\nid = "d"\nurl = "https://sink.example/{canary}"\nsecret = "{canary}"\n'
        f'[destinations.headers]\nX-Key = "{canary}"\n'
    )

    shown = repr(load(tmp_path, text))

    assert canary not in shown
    assert KEY not in shown
    assert "acme" in shown


def test_syntax_error_names_its_line(tmp_path: Path) -> None:
    found = mistakes(tmp_path, "[web]\nport = \n")

    assert "line 2" in found[str(tmp_path / "settings.toml")]


@pytest.mark.parametrize("text", [f"a = {'9' * 5000}", f"a = {'[' * 5000}"])
def test_monstrous_values_are_mistakes_too(tmp_path: Path, text: str) -> None:
    found = mistakes(tmp_path, text)

    assert found[str(tmp_path / "settings.toml")].startswith("is not valid TOML: ")


def test_missing_file_says_how_to_name_another(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="there is no such file; name another with --settings PATH"):
        load_settings(tmp_path / "nowhere.toml", {})


def test_folder_in_place_of_the_file_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="cannot be read: Is a directory"):
        load_settings(tmp_path, {})


def test_file_that_is_no_text_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(SettingsInvalid, match="is not UTF-8 text"):
        load_settings(path, {})


def test_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(b"\xef\xbb\xbf[web]\nport = 9000\n")

    assert load_settings(path, {}).web.port == 9000


def test_settings_are_frozen_and_can_be_replaced(tmp_path: Path) -> None:
    settings = load(tmp_path, "")

    with pytest.raises(FrozenInstanceError):
        settings.otlp_endpoint = "x"  # type: ignore[misc]
    changed = replace(settings, security=replace(settings.security, key=KEY))
    assert changed.security.key == KEY
    assert isinstance(changed, Settings)


def test_settings_path_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_SETTINGS", raising=False)
    assert settings_path() == Path("settings.toml")
    monkeypatch.setenv("GATEWAY_SETTINGS", "/etc/gateway.toml")
    assert settings_path() == Path("/etc/gateway.toml")


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!", KEY[:-1], KEY + "AAAA", "ä"])
def test_key_is_32_bytes_in_base64_or_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="must be 32 bytes in base64"):
        decode_key(text)
