"""Looking things up in stores: what began a renewal, renewals that are overdue, webhooks that were switched off."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.errors import NotRecorded
from gateway.flow.changes import changes_of, parse_fetched
from gateway.flow.holding import FETCH_WAIT
from gateway.flow.item import RECONCILED
from gateway.flow.parts import Parts
from gateway.flow.reconcile import Reconciler
from gateway.flow.stores.api import Payload, StoreApi, StoreFailed, WebhookState
from gateway.ingest.body import write_body
from gateway.settings import StoreSettings
from gateway.storage.consent import order_rows
from gateway.storage.context import is_renewal
from gateway.storage.queue import release_order
from gateway.storage.reconciling import WEBHOOKS, Window, put_mark, waiting_parents, waiting_renewals
from gateway.storage.statements import Connection, Row
from gateway.storage.subscriptions import overdue_subscriptions, subscription_rows, take_watch

_LEASE: Final = timedelta(minutes=2)
_AT_ONCE: Final = timedelta(0)
_AFTER_FAILURE: Final = timedelta(seconds=5)
_BATCH: Final = 20
_ORDERS_BACK: Final = 50  # of a customer whose first order is looked for
_EARLY: Final = timedelta(days=1)  # a renewal may be made before its payment is due
_LOOK_AGAIN: Final = timedelta(hours=1)


class Watcher:
    """Asks stores for what is missing; safe in any number of processes."""

    def __init__(self, parts: Parts, reconciler: Reconciler) -> None:
        """Take in by `reconciler` what is found."""
        self._parts = parts
        self._database = parts.database
        self._reconciler = reconciler

    # --- what began a renewal ---------------------------------------------------------------------------------

    def fetch_parents(self) -> int:
        """Fetch the orders behind what waits for them, then let it go; return how many deliveries that were."""
        return sum(self._fetch_parents(store) for store in self._reconciler.stores())

    def _fetch_parents(self, store: StoreSettings) -> int:
        now = self._database.now()
        window = Window(self._parts.targets, now, now + FETCH_WAIT)
        waiting = self._database.read(lambda connection: waiting_renewals(connection, store.id, window, limit=_BATCH))
        missing = self._database.read(lambda connection: waiting_parents(connection, store.id, window, limit=_BATCH))
        if not (waiting or missing) or not self._reconciler.takes_turn(store.id, "parents", _LEASE):
            return 0
        next_in = _AFTER_FAILURE
        try:
            api = self._reconciler.api_of(store)
            for row in waiting:
                self._fetch_behind(store, api, row)
            for order_id in missing:
                self._fetch_order(store, api, order_id)
            next_in = _AT_ONCE
        except StoreFailed as error:
            self._parts.telling.store_failed(store.id, error.word)
            return 0
        finally:
            self._reconciler.end_turn(store.id, "parents", next_in)
        return sum(self._release(store.id, one) for one in [*(row["order_id"] for row in waiting), *missing])

    def _fetch_behind(self, store: StoreSettings, api: StoreApi, renewal: Row) -> None:
        for subscription_id in renewal["subscription_ids"]:
            if not self._parent_of(store.id, subscription_id) and (payload := api.subscription(subscription_id)):
                self._reconciler.take_silently(store, api, payload, api.subscription_topic)
            if parent_id := self._parent_of(store.id, subscription_id):
                self._fetch_order(store, api, parent_id)
        if not renewal["subscription_ids"] and renewal["customer_id"]:
            self._fetch_customer(store, api, renewal["customer_id"])

    def _fetch_order(self, store: StoreSettings, api: StoreApi, order_id: str) -> None:
        if not self._is_seen(store.id, order_id) and (payload := api.order(order_id)):
            self._reconciler.take_silently(store, api, payload, api.order_topic)

    def _fetch_customer(self, store: StoreSettings, api: StoreApi, customer_id: str) -> None:
        for change in changes_of(store, api.orders_of_customer(customer_id)[:_ORDERS_BACK]):
            is_other = is_renewal({"origin": change.order.origin, "relation": change.order.relation})
            if not is_other and not self._is_seen(store.id, change.order.order_id):
                self._reconciler.take_silently(store, api, change.payload, api.order_topic)

    def _parent_of(self, store_id: str, subscription_id: str) -> str | None:
        key = (store_id, subscription_id)
        rows = self._database.read(lambda connection: subscription_rows(connection, [key]))
        return rows[key]["parent_order_id"] if key in rows else None

    def _is_seen(self, store_id: str, order_id: str) -> bool:
        key = (store_id, order_id)
        rows = self._database.read(lambda connection: order_rows(connection, [key]))
        return key in rows and bool(rows[key]["has_order"])

    def _release(self, store_id: str, order_id: str) -> int:
        now = self._database.now()
        return self._database.write(
            lambda connection: release_order(connection, store_id=store_id, order_id=order_id, now=now)
        )

    # --- renewals that are overdue ----------------------------------------------------------------------------

    def watch(self) -> int:
        """Look up subscriptions whose payment is past without a renewal; return how many renewals were found."""
        return sum(self._watch(store) for store in self._reconciler.stores())

    def _watch(self, store: StoreSettings) -> int:
        now, grace = self._database.now(), timedelta(minutes=store.api.renewal_grace_minutes)
        seen_before = now - min(grace, _LOOK_AGAIN)
        rows = self._database.read(
            lambda connection: overdue_subscriptions(
                connection, store.id, due_before=now - grace, seen_before=seen_before, limit=_BATCH
            )
        )
        taken = [row for row in rows if self._takes_watch(store.id, row["subscription_id"], seen_before, now)]
        return sum(self._look_up(store, row) for row in taken)

    def _takes_watch(self, store_id: str, subscription_id: str, seen_before: datetime, now: datetime) -> bool:
        key = (store_id, subscription_id)
        return self._database.write(lambda connection: take_watch(connection, key, seen_before=seen_before, now=now))

    def _look_up(self, store: StoreSettings, row: Row) -> int:
        try:
            api = self._reconciler.api_of(store)
            payload = api.subscription(row["subscription_id"])
            if payload is not None:
                self._take_subscription(store, api, row, payload)
            changes = changes_of(store, api.orders_of_subscription(row))
        except StoreFailed as error:
            self._parts.telling.store_failed(store.id, error.word)
            return 0
        due = row["next_payment_at"] - _EARLY
        missing = [one for one in changes if one.order.created_at is not None and one.order.created_at >= due]
        try:
            return self._reconciler.take_missed(store, api, missing)
        except NotRecorded:
            return 0

    def _take_subscription(self, store: StoreSettings, api: StoreApi, row: Row, payload: Payload) -> None:
        """Take a subscription in that has changed since it was last heard of."""
        body = write_body(payload)
        webhook = parse_fetched(store, api, api.subscription_topic, body)
        told = webhook.subscription if webhook is not None else None
        if webhook is None or told is None or told.updated_at == row["changed_at"]:
            return
        self._reconciler.take_in(store, webhook, body, via=RECONCILED)

    # --- webhooks that were switched off ----------------------------------------------------------------------

    def check_webhooks(self) -> int:
        """Ask stores for the state of the webhooks that lead here; return how many are switched off."""
        return sum(
            self._check_webhooks(store)
            for store in self._reconciler.stores()
            if self._reconciler.takes_turn(store.id, "webhooks", timedelta(minutes=store.api.reconcile_minutes))
        )

    def _check_webhooks(self, store: StoreSettings) -> int:
        try:
            api = self._reconciler.api_of(store)
            states = [one for one in api.webhooks() if self._leads_here(store.id, one)]
            disabled = [one for one in states if one.is_disabled]
            activated = {one.webhook_id for one in disabled if self._activate(store, api, one)}
        except StoreFailed as error:
            self._parts.telling.store_failed(store.id, error.word)
            return 0
        for one in disabled:
            is_activated = one.webhook_id in activated
            self._parts.telling.webhook_disabled(store.id, one.webhook_id, one.topic, is_activated=is_activated)
        self._write_states(store.id, states, activated)
        return len(disabled)

    def _activate(self, store: StoreSettings, api: StoreApi, webhook: WebhookState) -> bool:
        if not store.api.reactivate_webhooks:
            return False
        try:
            api.activate_webhook(webhook.webhook_id)
        except StoreFailed as error:
            self._parts.telling.store_failed(store.id, error.word)
            return False
        return True

    def _leads_here(self, store_id: str, webhook: WebhookState) -> bool:
        parts = urlsplit(webhook.delivery_url)
        host = urlsplit(self._parts.settings.web.public_url).hostname
        is_path = parts.path.rstrip("/").endswith(f"/webhooks/{store_id}")
        return is_path and (host is None or parts.hostname == host)

    def _write_states(self, store_id: str, states: Sequence[WebhookState], activated: set[str]) -> None:
        now = self._database.now()
        known: list[dict[str, Any]] = [
            {
                "id": one.webhook_id,
                "topic": one.topic,
                "status": "active" if one.webhook_id in activated else one.status,
                "activated": one.webhook_id in activated,
            }
            for one in states
        ]
        detail = {"webhooks": known, "disabled": [one["id"] for one in known if one["status"] == "disabled"]}

        def job(connection: Connection) -> None:
            put_mark(connection, store_id, WEBHOOKS, at=now, detail=detail, now=now)

        self._database.write(job)
