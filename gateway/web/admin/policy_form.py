"""Every key of a policy, explained in one sentence, and read from a form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.errors import RequestInvalid
from gateway.model.order import Origin
from gateway.web.admin import words


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One answer to choose from."""

    value: str
    title: str
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key: with `options` a choice, else a whole number from `least` to `most` in `unit`.

    `is_shown_before`: what-if can show what a change would do; other keys act on what comes from then on.
    """

    name: str
    title: str
    text: str
    options: tuple[Option, ...] = ()
    unit: str = ""
    least: int = 0
    most: int = 0
    is_shown_before: bool = True


MODE = Key(
    name="mode",
    title="Mode",
    text="What is done with a server-side call when the shopper did not agree to all of it.",
    options=(
        Option(value="off", title="Off", text="Everything passes as the store sent it; consent is only recorded."),
        Option(
            value="suppress",
            title="Suppress",
            text="Nothing is sent when all that a destination serves was denied; else what was denied is stripped.",
        ),
        Option(
            value="anonymize",
            title="Anonymize",
            text="The order is always sent, without the identifiers of what was denied.",
        ),
    ),
)
UNKNOWN = Key(
    name="unknown",
    title="Unknown consent",
    text="What counts for an order of which nothing is known: older than the gateway, or made by staff or a program.",
    options=(
        Option(value="allow", title="Allow", text="As if everything had been granted."),
        Option(value="deny", title="Deny", text="As if everything had been denied."),
    ),
)
KEYS: tuple[Key, ...] = (
    Key(
        name="hold_seconds",
        title="Wait for an answer",
        text="How long a checkout order without an answer waits for a late one before it is decided.",
        unit="seconds",
        most=86_400,
        is_shown_before=False,
    ),
    Key(
        name="event_ttl_seconds",
        title="Wait of session events",
        text="How long an event before the order waits for the shopper's answer; then it is discarded.",
        unit="seconds",
        least=10,
        most=900,
        is_shown_before=False,
    ),
    Key(
        name="consent_max_age_days",
        title="Longest life of a grant",
        text="A grant that is older counts as denied; 0 means no limit. Denials never age.",
        unit="days",
        most=36_500,
    ),
    Key(
        name="session_events",
        title="Session events",
        text="Whether events before an order are let through once they are allowed, or refused in every mode.",
        options=(Option(value="gate", title="Gate"), Option(value="refuse", title="Refuse")),
        is_shown_before=False,
    ),
    Key(
        name="renewals",
        title="Renewals follow",
        text="Whose consent counts when a subscription makes an order with no shopper present.",
        options=(
            Option(value="inherit", title="The first order", text="The record of the order that began it."),
            Option(value="latest", title="The newest answer", text="The customer's newest answer anywhere."),
            Option(value="unknown", title="The unknown rule", text="As if nothing were known."),
        ),
    ),
    Key(
        name="renewal_identifiers",
        title="Old identifiers of renewals",
        text="Click ids, cookies and addresses on a renewal are those of its first order: dropped, or kept as if new.",
        options=(Option(value="drop", title="Drop"), Option(value="keep", title="Keep")),
    ),
    Key(
        name="secrets",
        title="Order keys and links",
        text="Whether keys, status and payment links that open the shopper's pages leave when all is granted.",
        options=(Option(value="keep", title="Keep"), Option(value="drop", title="Drop")),
    ),
    Key(
        name="gpc",
        title="Global Privacy Control",
        text="Whether the browser's signal outweighs an explicit grant everywhere, or only where the law is opt-out.",
        options=(Option(value="always", title="Always"), Option(value="regime", title="Only under opt-out law")),
        is_shown_before=False,
    ),
)
ALL_KEYS = (MODE, UNKNOWN, *KEYS)
BY_ORIGIN = "unknown_by_origin"
ORIGINS = tuple(Origin)


def read_policy_form(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a posted policy; raise RequestInvalid with every mistake."""
    errors: dict[str, list[str]] = {}
    values: dict[str, Any] = {key.name: _read(key, form.get(key.name, ""), errors) for key in ALL_KEYS}
    rules = {origin.value: form.get(f"origin_{origin.value}", "") for origin in ORIGINS}
    values[BY_ORIGIN] = {origin: rule for origin, rule in rules.items() if rule in ("allow", "deny")}
    if errors:
        raise RequestInvalid(errors)
    return values


def title_of(name: str) -> str:
    """Return what a key is called on pages."""
    return next((key.title for key in ALL_KEYS if key.name == name), "Unknown consent per origin")


def value_text(name: str, value: Any) -> str:
    """Return a value in words."""
    if name == BY_ORIGIN:
        return "; ".join(f"{words.ORIGINS.get(one, one)}: {rule}" for one, rule in sorted(value.items())) or "none"
    key = next((one for one in ALL_KEYS if one.name == name), None)
    option = next((one for one in key.options if one.value == value), None) if key else None
    if option:
        return option.title
    return words.count(value, key.unit.removesuffix("s")) if key and key.unit else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One key that differs between two versions, in words."""

    title: str
    before: str
    after: str


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Return what differs, in the order of the page."""
    names = (*(key.name for key in ALL_KEYS), BY_ORIGIN)
    return [
        Difference(
            title=title_of(name),
            before=value_text(name, before[name]) if name in before else "",
            after=value_text(name, after[name]) if name in after else "",
        )
        for name in names
        if before.get(name) != after.get(name)
    ]


def _read(key: Key, text: str, errors: dict[str, list[str]]) -> str | int:
    if key.options:
        if text not in {option.value for option in key.options}:
            errors[key.name] = ["choose one of the answers"]
        return text
    if not (text.isascii() and text.isdigit() and len(text) < 10 and key.least <= int(text) <= key.most):  # noqa: PLR2004 - what an integer holds
        errors[key.name] = [f"must be a whole number from {key.least} to {key.most:,}"]
        return 0
    return int(text)
