"""Which names and values may be told, in logs and in traces."""

import re
from collections.abc import Mapping

FIELDS = frozenset(
    {
        "action",
        "attempt",
        "channel",
        "code",
        "count",
        "delivery",  # the gateway's own id
        "destination",
        "duration_ms",
        "identifiers",  # names of rules, never values
        "job",
        "order",  # the store's id of the order
        "outcome",
        "policy_version",
        "reason",
        "reasons",
        "status",
        "store",
        "topic",
        "webhook",  # the id that the destination sees
        "where",
        "word",
    }
)
WITHHELD = "[withheld]"
NUMBERS, LISTS, SETS = (int, float), (list, tuple), (set, frozenset)  # `int | float` is built anew for every value

# Ids, words and names of rules look like this. An e-mail address, a URL with a query or a sentence does not.
_WORD = re.compile(r"[A-Za-z0-9_.:/*\[\]+-]{0,120}")


def told(fields: Mapping[str, object]) -> dict[str, object]:
    """Return what may be told: known names with plain values; `refused` lists the names that are not known."""
    if fields.keys() <= FIELDS:
        return {name: plain(value) for name, value in fields.items() if value is not None}
    allowed = {name: plain(value) for name, value in fields.items() if name in FIELDS and value is not None}
    return allowed | {"refused": [plain(name) for name in sorted(fields.keys() - FIELDS)]}


def plain(value: object) -> object:
    """Return numbers, ids and words as they are, lists of them as lists; everything else is withheld."""
    if isinstance(value, str):
        return value if _WORD.fullmatch(value) else WITHHELD
    if isinstance(value, NUMBERS):
        return value
    if isinstance(value, LISTS):
        return [plain(one) for one in value]
    if isinstance(value, SETS):
        return sorted(str(plain(one)) for one in value)
    return WITHHELD
