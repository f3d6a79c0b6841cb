"""What a value must be like; every check raises ValidationError without repeating the value, which may be secret."""

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

from marshmallow import ValidationError

from gateway.settings.values import WorkerSettings, decode_key

#: The path of a key, and what is wrong there.
Mistake = tuple[str, str]


def check_url(value: str) -> None:
    """Demand http or https, a host, and nothing that would be a secret in a log."""
    parts = _split(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s\x00-\x1f\x7f]", value):
        raise ValidationError("must be a URL with http:// or https:// and a host")
    if parts.username is not None or parts.password is not None:
        raise ValidationError("must not hold a user name or password; use headers")


def check_optional_url(value: str) -> None:
    """Let nothing pass for a URL that is not needed."""
    if value:
        check_url(value)


def check_origin(value: str) -> None:
    """Demand what browsers send as `Origin`."""
    if value == "null":
        return
    check_url(value)
    parts = _split(value)
    if parts.path or parts.query or parts.fragment:
        raise ValidationError('must be scheme and host only, e.g. "https://shop.example", or "null"')


def check_network(value: str) -> None:
    """Demand an address, or a network in CIDR notation."""
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError as error:
        raise ValidationError("must be an IP address or network") from error


def check_key(value: str) -> None:
    """Demand a key as `decode_key` takes it."""
    try:
        decode_key(value)
    except ValueError as error:
        raise ValidationError(str(error)) from error


def check_optional_key(value: str) -> None:
    """Let nothing pass for a key that may be made later."""
    if value:
        check_key(value)


def mistakes_together(raw: Mapping[str, Any]) -> Iterator[Mistake]:
    """Find what is wrong between keys, whatever else is wrong: repeated ids, unknown stores, halves of pairs."""
    stores, destinations = _tables(raw.get("stores")), _tables(raw.get("destinations"))
    yield from _lease_mistakes(raw.get("worker"))
    yield from _repeated("stores", stores)
    yield from _repeated("destinations", destinations)
    known = {store["id"] for _, store in stores if isinstance(store.get("id"), str)}
    for at, destination in destinations:
        yield from _strangers(f"destinations[{at}].stores", destination.get("stores"), known)
    for at, store in stores:
        yield from _api_mistakes(f"stores[{at}].api", store.get("platform"), store.get("api"))


def _split(value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        good = parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ValidationError("must be a URL with http:// or https:// and a host")
    return parts


def _tables(value: Any) -> list[tuple[int, Mapping[str, Any]]]:
    rows = value if isinstance(value, list) else []
    return [(at, one) for at, one in enumerate(rows) if isinstance(one, Mapping)]


def _lease_mistakes(worker: Any) -> Iterator[Mistake]:
    given = worker if isinstance(worker, Mapping) else {}
    defaults = WorkerSettings()
    lease = given.get("lease_seconds", defaults.lease_seconds)
    timeout = given.get("timeout_seconds", defaults.timeout_seconds)
    if all(isinstance(one, int | float) for one in (lease, timeout)) and lease <= timeout:
        yield "worker.lease_seconds", "must exceed timeout_seconds"


def _repeated(name: str, tables: Sequence[tuple[int, Mapping[str, Any]]]) -> Iterator[Mistake]:
    seen: set[str] = set()
    for at, table in tables:
        own = table.get("id")
        if isinstance(own, str) and own in seen:
            yield f"{name}[{at}].id", "is used twice"
        seen |= {own} if isinstance(own, str) else set()


def _strangers(path: str, named: Any, known: set[str]) -> Iterator[Mistake]:
    for at, one in enumerate(named if isinstance(named, list) else []):
        if isinstance(one, str) and one not in known:
            yield f"{path}[{at}]", "is no store of these settings"


def _api_mistakes(path: str, platform: Any, api: Any) -> Iterator[Mistake]:
    """Half of a store's credentials would leave reconciliation off without a word."""
    given = {key for key, value in api.items() if value} if isinstance(api, Mapping) else set()
    if platform == "woocommerce" and given & {"key", "secret"} and not given >= {"url", "key", "secret"}:
        yield path, "needs url, key and secret together"
    if platform == "shopify" and "token" in given and not given & {"domain", "url"}:
        yield path, "needs domain and token together"
