"""Policies in force: values become a Policy, and every decision is taken by a version that was confirmed."""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Final

from gateway.model.decision import GpcRule, Keep, Mode, Policy, RenewalRule, SessionRule, UnknownRule
from gateway.model.order import Origin
from gateway.storage.database import Database
from gateway.storage.policies import newest_versions, policy_of_version
from gateway.storage.statements import Connection

_COMMITTED_WITHIN: Final = timedelta(seconds=5)


def policy_of(version: int, values: Mapping[str, Any]) -> Policy:
    """Read the values of a stored version."""
    by_origin = {Origin(origin): UnknownRule(rule) for origin, rule in values["unknown_by_origin"].items()}
    return Policy(
        version=version,
        mode=Mode(values["mode"]),
        unknown=UnknownRule(values["unknown"]),
        unknown_by_origin=by_origin,
        hold_seconds=values["hold_seconds"],
        event_ttl_seconds=values["event_ttl_seconds"],
        consent_max_age_days=values["consent_max_age_days"],
        session_events=SessionRule(values["session_events"]),
        renewals=RenewalRule(values["renewals"]),
        renewal_identifiers=Keep(values["renewal_identifiers"]),
        secrets=Keep(values["secrets"]),
        gpc=GpcRule(values["gpc"]),
    )


class PolicyBook:
    """Versions never change once made, so they are read once; which one is newest is asked anew."""

    def __init__(self, database: Database) -> None:
        """Know nothing yet."""
        self._database = database
        self._versions: dict[tuple[str, int], Policy] = {}
        self._made_at: dict[tuple[str, int], datetime] = {}
        self._newest: dict[str, int] = {}
        self._confirmed_at = float("-inf")
        self._lock = Lock()

    def newest(self, store_id: str, *, as_of_seconds: float = float("inf")) -> Policy:
        """Return the newest policy that this process has heard of, at most so long ago; dispatch confirms it."""
        if store_id not in self._newest or time.monotonic() - self._confirmed_at > as_of_seconds:
            self._database.read(self.confirm)
        return self._versions[store_id, self._newest[store_id]]

    def confirm(self, connection: Connection) -> None:
        """Ask the database which versions are the newest."""
        began, found = time.monotonic(), newest_versions(connection)
        with self._lock:
            # Another thread may have asked later, and been answered first.
            newest = {store_id: max(version, self._newest.get(store_id, 0)) for store_id, version in found.items()}
            for store_id, version in newest.items():
                self._load(connection, store_id, version)
            self._newest, self._confirmed_at = newest, max(began, self._confirmed_at)

    def at_intake(self, connection: Connection, store_id: str, version: int, accepted_at: datetime) -> list[Policy]:
        """Return the version by which something was taken in, and those that may have been in force by then.

        There are others where whoever took it in had not heard of the newest yet. A version is stamped before it is
        committed, so that for a moment the one before it counts as well.
        """
        with self._lock:
            self._load(connection, store_id, version)
            found = [version]
            for later in range(version + 1, self._newest[store_id] + 1):
                self._load(connection, store_id, later)
                made_at = self._made_at.get((store_id, later))
                if made_at is not None and made_at <= accepted_at:
                    found = [later] if made_at < accepted_at - _COMMITTED_WITHIN else [*found, later]
        known = (self._versions.get((store_id, one)) for one in dict.fromkeys((version, *found)))
        return [one for one in known if one is not None]

    def _load(self, connection: Connection, store_id: str, version: int) -> None:
        if (store_id, version) in self._versions:
            return
        row = policy_of_version(connection, store_id, version)
        if row is not None:
            self._made_at[store_id, version] = row["changed_at"]
            self._versions[store_id, version] = policy_of(version, row["values"])
