"""Evidence of consent, one file per kind; what it says is read here by its name."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from gateway.ingest.answers import most_restrictive
from gateway.ingest.signals.cookie import read_cookie
from gateway.ingest.signals.google import read_gcd, read_gcs
from gateway.ingest.signals.gpp import read_gpp
from gateway.ingest.signals.gtmkit import read_gtmkit
from gateway.ingest.signals.own import read_own
from gateway.ingest.signals.pmw import read_pmw
from gateway.ingest.signals.tcf import read_tc
from gateway.ingest.signals.usp import read_usp
from gateway.model.consent import Evidence, Source

EntryReader = Callable[[object], Evidence]

# What a shop writes on its orders, in order of precedence.
ORDER_ENTRIES: Final[Mapping[str, EntryReader]] = MappingProxyType(
    {
        "_consent_gateway": partial(read_own, entry="_consent_gateway"),
        "_gtmkit_consent": partial(read_gtmkit, entry="_gtmkit_consent"),
        "_pmw_consent_snapshot": partial(read_pmw, entry="_pmw_consent_snapshot"),
    }
)

# What a shopper can write: cart attributes are open to everybody, so the source is always the client.
SHOPPER_ENTRIES: Final[Mapping[str, EntryReader]] = MappingProxyType(
    {"_consent_gateway": partial(read_own, entry="_consent_gateway", platform_source=Source.CLIENT)}
)

# What a browser or a server may send beside its categories.
EVIDENCE: Final[Mapping[str, Callable[[str], Evidence]]] = MappingProxyType(
    {
        "tc": read_tc,
        "gpp": read_gpp,
        "gcs": read_gcs,
        "gcd": read_gcd,
        "usp": read_usp,
        "cookie": partial(read_cookie, strings={"euconsent-v2": read_tc, "__gpp": read_gpp, "usprivacy": read_usp}),
    }
)


def read_entries(entries: Iterable[tuple[str, object]], readers: Mapping[str, EntryReader]) -> Evidence | None:
    """Read the entry of highest precedence; an unreadable one hides those below it, it does not let them speak."""
    known: dict[str, list[object]] = {}
    for key, value in entries:
        if key in readers:
            known.setdefault(key, []).append(value)
    first = next((key for key in readers if key in known), None)
    return most_restrictive(map(readers[first], known[first])) if first is not None else None
