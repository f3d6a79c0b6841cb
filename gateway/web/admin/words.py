"""What the gateway's own words mean to the people who read its pages; a tone goes with each, never alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.model.consent import Basis, Category, Channel, Choice, Source, Status
from gateway.model.counting import noun
from gateway.model.decision import Action, Reason
from gateway.model.delivery import DeliveryState
from gateway.model.order import Origin
from gateway.model.session import SessionState


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its tone (good, bad, wait, none) and its sign."""

    text: str
    tone: str = "none"
    sign: str = "dot"


_GRANTED = Word("Granted", "good", "check")
_DENIED = Word("Denied", "bad", "cross")
_NOT_ANSWERED = Word("Not answered", "wait", "dash")
_UNKNOWN = Word("Unknown", "none", "question")

CATEGORIES: Mapping[Category, str] = {
    Category.ANALYTICS: "Analytics",
    Category.MARKETING: "Marketing",
    Category.FUNCTIONAL: "Functional",
    Category.PREFERENCES: "Preferences",
    Category.SALE_OF_DATA: "Sale of data",
}

STATUSES: Mapping[Status, str] = {
    Status.RECORDED: "The shopper's answer was recorded",
    Status.UNANSWERED: "A banner was seen and left unanswered",
    Status.INHERITED: "Inherited from the order that began the subscription",
    Status.UNKNOWN: "Nothing is known",
}

PAUSES: Mapping[str, str] = {
    "gone": "it answered 410, that it wants nothing any more.",
    "failing": "it has failed for over an hour.",
}

UNREADABLE = "An answer came with the order, but it could not be read"

BASES: Mapping[str, str] = {
    Basis.EXPLICIT: "The shopper chose",
    Basis.IMPLIED: "Implied by the shop's consent platform",
    Basis.OPT_OUT_DEFAULT: "Opt-out default: granted until refused",
    Basis.GPC: "Global Privacy Control of the browser",
    Basis.INHERITED: "Inherited",
    Basis.NONE: "No record",
}

SOURCES: Mapping[str, str] = {Source.CLIENT: "The shopper's browser", Source.SERVER: "The shop's server"}

CHANNELS: Mapping[str, str] = {
    Channel.ORDER: "in the order's own data",
    Channel.BROWSER: "from the shopper's browser",
    Channel.SERVER: "from the shop's server",
    Channel.WITHDRAWAL: "as a withdrawal",
}

ENTRIES: Mapping[str, str] = {
    "_consent_gateway": "The gateway's own entry in the order",
    "_gtmkit_consent": "GTM Kit's entry in the order",
    "_pmw_consent_snapshot": "Pixel Manager's entry in the order",
    "browser": "Sent by the shopper's browser",
    "session": "The session's own answer",
    "customer": "The customer's stored choice",
}

LOWERED_BY: Mapping[str, str] = {
    "withdrawal": "withdrawn",
    "gpc": "opted out by Global Privacy Control",
    "denial": "denied later",
    "order": "denied on another order",
}

STATES: Mapping[str, Word] = {
    DeliveryState.HELD: Word("Held", "wait", "pause"),
    DeliveryState.DUE: Word("Waiting", "wait", "clock"),
    DeliveryState.SENDING: Word("Sending", "wait", "send"),
    DeliveryState.DELIVERED: Word("Delivered", "good", "check"),
    DeliveryState.SUPPRESSED: Word("Suppressed", "mute", "stop"),
    DeliveryState.EXPIRED: Word("Expired", "mute", "clock"),
    DeliveryState.CANCELLED: Word("Cancelled", "mute", "cross"),
    DeliveryState.FAILED: Word("Failed", "bad", "alert"),
    DeliveryState.LEAK: Word("Stopped: leak", "bad", "alert"),
}

STATE_TEXTS: Mapping[str, str] = {
    DeliveryState.HELD: "waits for the shopper's answer",
    DeliveryState.DUE: "goes out as soon as it is its turn",
    DeliveryState.SENDING: "is being sent",
    DeliveryState.DELIVERED: "was accepted by the destination",
    DeliveryState.SUPPRESSED: "was not sent, because consent did not allow it",
    DeliveryState.EXPIRED: "was not sent, because no answer came in time",
    DeliveryState.CANCELLED: "was cancelled before it was sent",
    DeliveryState.FAILED: "could not be delivered",
    DeliveryState.LEAK: "was stopped: a denied value was found in what was about to leave",
}

SESSION_STATES: Mapping[str, Word] = {
    SessionState.GRANTED: _GRANTED,
    SessionState.DENIED: _DENIED,
    SessionState.PENDING: _NOT_ANSWERED,
    SessionState.UNKNOWN: _UNKNOWN,
}

ACTIONS: Mapping[str, Word] = {
    Action.SEND_AS_IS: Word("As it came", "good", "check"),
    Action.SEND_REDACTED: Word("Redacted", "cut", "cut"),
    Action.HOLD: Word("Held", "wait", "pause"),
    Action.SUPPRESS: Word("Not sent", "mute", "stop"),
}

ACTION_TEXTS: Mapping[str, str] = {
    Action.SEND_AS_IS: "send as it came",
    Action.SEND_REDACTED: "send redacted",
    Action.HOLD: "hold",
    Action.SUPPRESS: "do not send",
}

REASONS: Mapping[str, str] = {
    Reason.MODE_OFF: "the store's mode is off, so everything passes as it came",
    Reason.ALL_GRANTED: "everything that this destination serves was granted",
    Reason.SOME_DENIED: "part of what this destination serves was denied",
    Reason.NOT_SERVED: "this destination does not serve every category",
    Reason.ALL_PURPOSES_DENIED: "all that this destination serves was denied",
    Reason.UNKNOWN_ALLOWED: "nothing is known, and the policy allows that",
    Reason.UNKNOWN_DENIED: "nothing is known, and the policy denies that",
    Reason.IDENTITY_REQUIRED: "this destination takes no event without a person",
    Reason.STALE_IDENTIFIERS: "a renewal's click ids, cookies and addresses are those of its first order",
    Reason.AWAITING_ANSWER: "the shopper may still answer",
    Reason.EXPIRED: "no answer came in time",
    Reason.EVENTS_REFUSED: "the store's policy refuses events that are no orders",
    Reason.SECRETS_DROPPED: "links and keys that open the shopper's pages are dropped",
    "withdrawn": "consent was withdrawn",
    "erased": "the person asked to be forgotten",
    "destination_removed": "the destination was removed",
    "operator": "an operator cancelled it",
    "internal_error": "an error inside the gateway, which the log names",
    "key_missing": "the key that opens it is not at hand",
    "body_gone": "the body is no longer kept",
    "given_after_the_order": "consent was given after the order",
    "no_stored_choice": "the customer has no stored choice",
}

ORIGINS: Mapping[str, str] = {
    Origin.CHECKOUT: "Checkout",
    Origin.ADMIN: "Made by staff",
    Origin.API: "Made by a program",
    Origin.RENEWAL: "Renewal",
    Origin.POS: "Point of sale",
    Origin.IMPORT: "Imported",
}

OUTCOMES: Mapping[str, str] = {
    "ok": "accepted",
    "connect_timeout": "no connection in time",
    "read_timeout": "no answer in time",
    "connection_refused": "the connection was refused",
    "private_address": "the address is private, which is not allowed",
    "lease_expired": "the worker stopped on the way",
    "body_gone": "the body is no longer kept",
}

AUDITS: Mapping[str, str] = {
    "signed_in": "signed in",
    "sign_in_failed": "failed to sign in",
    "signed_out": "signed out",
    "revealed": "revealed what is masked in",
    "retried": "tried again",
    "replayed": "replayed what was for",
    "resumed": "had deliveries sent again to",
    "cancelled": "cancelled",
    "policy_changed": "changed the policy",
    "searched_email": "searched for an e-mail address",
    "user_added": "added the user",
    "user_changed": "changed the user",
    "user_disabled": "shut out the user",
    "user_enabled": "let in again the user",
    "link_made": "made a one-time link for",
    "password_changed": "chose a password for",
    "sessions_ended": "ended all sessions of",
}

ERRORS: Mapping[int, tuple[str, str]] = {
    400: ("That did not work", "The form was too old, or not sent from this page. Go back, reload, and try again."),
    403: ("Not allowed", "Your role does not include this. An owner can change roles."),
    404: ("Not found", "There is no such page, order or store, or it is one that you cannot see."),
    405: ("Not possible", "This address cannot be used in this way."),
    500: ("Something went wrong", "It was written to the gateway's log. Try again, or tell whoever runs the gateway."),
    429: ("Too many tries", "Signing in failed too often. Wait a few minutes, then try again."),
}

DEAD_LINK = (
    "This link no longer works",
    "It was used, or its time has run out. Sign in, or ask an owner, or whoever runs the gateway, for another.",
)

_LONGEST = 32  # characters of a number in a list


def choice(value: Choice, *, has_record: bool = True) -> Word:
    """Return the word for a choice: silence inside a record is not the same as knowing nothing."""
    if value is Choice.UNKNOWN:
        return _NOT_ANSWERED if has_record else _UNKNOWN
    return _GRANTED if value is Choice.GRANTED else _DENIED


def state(value: str) -> Word:
    """Return the word for a delivery's state."""
    return STATES.get(value, Word(value))


def action(value: str | None) -> Word:
    """Return the word for what was decided."""
    return ACTIONS.get(value or "", Word("Not decided yet", "none", "dash"))


def reason(value: str | None) -> str:
    """Return a reason as half a sentence; notes carry a name after a colon."""
    key, _, name = (value or "").partition(":")
    match key:
        case "grant_too_old":
            return f"the grant for {name.replace('_', ' ')} is too old"
        case "unreadable":
            return "the entry in the order could not be read, which counts as denied"
    return REASONS.get(key, plain(key))


def pause(value: str) -> str:
    """Return why a destination is paused."""
    return PAUSES.get(value, plain(value))


def outcome(value: str | None, status_code: int | None = None) -> str:
    """Return what an attempt came to."""
    if value and value.startswith("http_"):
        return f"answered {status_code or value.removeprefix('http_')}"
    text = OUTCOMES.get(value or "", plain(value or ""))
    return f"{text} ({status_code})" if status_code and value == "ok" else text


def plain(value: str) -> str:
    """Turn an identifier into words."""
    return value.replace("_", " ").replace(".", " ")


def short(text: str) -> str:
    """Return a number that fits into a list; of a very long one its beginning and its end."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 10]}…{text[-9:]}"


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 order`, `1,204 orders`."""
    return f"{number:,} {noun(number, one, many)}"
