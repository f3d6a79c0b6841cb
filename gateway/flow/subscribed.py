"""Subscriptions whose change no webhook brought, where the store lets them be read."""

from datetime import datetime
from typing import Final

from gateway.errors import NotRecorded
from gateway.flow.changes import OVERLAP, parse_fetched
from gateway.flow.item import RECONCILED
from gateway.flow.parts import Parts
from gateway.flow.stores.api import Payload, StoreApi, StoreFailed, TakeIn
from gateway.ingest.body import write_body
from gateway.settings import StoreSettings
from gateway.storage.reconciling import SUBSCRIPTIONS, put_mark, read_mark
from gateway.storage.statements import Connection
from gateway.storage.subscriptions import subscription_rows

_NOT_THERE: Final = frozenset(("http_404", "http_403", "http_401", "http_400"))


class Subscribed:
    """Compares the subscriptions of stores with what was received."""

    def __init__(self, parts: Parts, take_in: TakeIn) -> None:
        """Take missing changes in by `take_in`."""
        self._parts = parts
        self._database = parts.database
        self._take_in = take_in

    def take_missed(self, store: StoreSettings, api: StoreApi, *, since: datetime, until: datetime | None) -> int:
        """Take in what changed after the last run, or by default after `since`; return how many changes those were.

        A store without subscriptions has none; what fails on the way is told, and looked for again the next time.
        """
        mark = self._database.read(lambda connection: read_mark(connection, store.id, SUBSCRIPTIONS))
        begins_at = min(since, mark["at"]) if mark else since
        high, taken = begins_at, 0
        try:
            for page in api.subscriptions_since(begins_at - OVERLAP):
                for payload in page.payloads:
                    at, is_news = self._take(store, api, payload, until)
                    taken += is_news
                    high = max(high, at or high)
        except (StoreFailed, NotRecorded) as error:
            word = error.word if isinstance(error, StoreFailed) else "not_recorded"
            if word not in _NOT_THERE:
                self._parts.telling.store_failed(store.id, word)
            return taken
        self._put_mark(store.id, max(high, mark["at"]) if mark else high)
        return taken

    def _take(
        self, store: StoreSettings, api: StoreApi, payload: Payload, until: datetime | None
    ) -> tuple[datetime | None, bool]:
        """Return the time of a change, None for one that is left to its webhook, and whether it was taken in."""
        body = write_body(payload)
        webhook = parse_fetched(store, api, api.subscription_topic, body)
        told = webhook.subscription if webhook is not None else None
        if webhook is None or told is None or told.updated_at is None:
            return None, False
        if until is not None and told.updated_at > until:
            return None, False
        key = (store.id, told.subscription_id)
        row = self._database.read(lambda connection: subscription_rows(connection, [key])).get(key)
        if row is not None and row["changed_at"] is not None and row["changed_at"] >= told.updated_at:
            return told.updated_at, False
        return told.updated_at, self._take_in(store, webhook, body, via=RECONCILED).status == "accepted"

    def _put_mark(self, store_id: str, at: datetime) -> None:
        now = self._database.now()

        def job(connection: Connection) -> None:
            put_mark(connection, store_id, SUBSCRIPTIONS, at=at, detail=None, now=now)

        self._database.write(job)
