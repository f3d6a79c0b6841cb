"""The gateway as its entry points see it: what comes in, what goes out, and what can be shown."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from threading import Event

from gateway.decide.consent import with_gpc_rule
from gateway.errors import Overloaded, StoreUnknown
from gateway.flow.changes import detection_of
from gateway.flow.dispatch import Dispatch, Prepared
from gateway.flow.intake import record_webhooks
from gateway.flow.item import Intake, Taken
from gateway.flow.parts import Parts
from gateway.flow.reconcile import Progress, Reconciler, Report
from gateway.flow.renewals import Renewals
from gateway.flow.showing import show_order
from gateway.flow.statement import hashes_of_email, key_of_order
from gateway.flow.stores.api import StoreFailed
from gateway.flow.watching import Watcher
from gateway.ingest.platforms import PLATFORMS
from gateway.model.consent import Evidence
from gateway.model.decision import Policy
from gateway.model.instant import as_text
from gateway.model.order import Order, Origin, Platform, Webhook
from gateway.settings import StoreSettings
from gateway.storage.events import expire_events
from gateway.storage.outcomes import Settled
from gateway.storage.pausing import read_pauses
from gateway.storage.queue import Claimed, end_leases, shorten_waits
from gateway.storage.reconciling import ORDERS, WEBHOOKS, days_of, read_mark
from gateway.storage.removed import cancel_removed
from gateway.storage.retention import Ages, drop_old_rows
from gateway.storage.statements import Connection, Row
from gateway.storage.stranded import end_lost, free_heads, lost_endings, stranded_heads
from gateway.storage.tokens import TokenScope, scope_of_token
from gateway.storage.waiting import OVERLOAD_SECONDS, is_overloaded

DAYS_SHOWN = 400
LOOK_SECONDS = 5.0
_IGNORED = "ignored"
_WEBHOOK = "webhook"
# What a shopper may answer long after it was made.
PAID_LATER = (Origin.ADMIN, Origin.RENEWAL)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a store is told about its webhook."""

    status: str
    reason: str = ""


class Gateway:
    """Holds the parts that bootstrap put together; each entry point calls one method."""

    def __init__(self, parts: Parts) -> None:
        """Take the parts from bootstrap."""
        self.parts = parts
        self.settings = parts.settings
        self.database = parts.database
        self.keyring = parts.keyring
        self.policies = parts.policies
        self.targets = parts.targets
        self.telling = parts.telling
        self.renewals = Renewals(parts)
        self._dispatch = Dispatch(parts)
        self._is_stopping = Event()
        self._reconciler = Reconciler(parts, self.take_in, self._wait)
        self._watcher = Watcher(parts, self._reconciler)

    # --- webhooks in ------------------------------------------------------------------------------------------

    def receive_webhook(self, store_id: str, headers: Mapping[str, str], body: bytes) -> Receipt:
        """Verify, parse and record one webhook; durable when it returns.

        Raises WebhookRejected for what is refused for good and NotRecorded for what should be sent again.
        """
        with self._answering(store_id):
            store, webhook, reason = self._read(store_id, headers, body)
            status = _IGNORED if webhook is None or reason else self.take_in(store, webhook, body).status
        return self._answered(store_id, status, reason, webhook)

    async def await_webhook(
        self, store_id: str, headers: Mapping[str, str], body: bytes, *, look: Callable[[], Awaitable[None]]
    ) -> Receipt:
        """Do as `receive_webhook` does, but wait for the database in `look` and for the commit alone.

        `look` sees to it that `look_around` was called no more than LOOK_SECONDS ago.
        """
        with self._answering(store_id):
            store, webhook, reason = self._read(store_id, headers, body)
            if webhook is None or reason:
                status = _IGNORED
            else:
                await look()
                intake = self._admitted(store, webhook, body, as_of_seconds=2 * LOOK_SECONDS)
                taken: Taken = await self.database.written_together(record_webhooks, intake)
                status = taken.status
        return self._answered(store_id, status, reason, webhook)

    def hand_over_webhook(
        self, store_id: str, headers: Mapping[str, str], body: bytes, tell: Callable[[Receipt | Exception], None]
    ) -> None:
        """Do as `receive_webhook` does, but return before the commit: `tell` is told the receipt or what was wrong.

        It is told by whatever thread knows, perhaps before this returns. Nothing is traced.
        """
        try:
            store, webhook, reason = self._read(store_id, headers, body)
            if webhook is None or reason:
                tell(self._answered(store_id, _IGNORED, reason, webhook))
                return
            intake = self._admitted(store, webhook, body, as_of_seconds=2 * LOOK_SECONDS)
            self.database.write_soon(record_webhooks, intake, partial(self._tell, store_id, webhook, tell))
        except Exception as error:  # noqa: BLE001 - told like any other
            self._tell(store_id, None, tell, error)

    def _tell(
        self,
        store_id: str,
        webhook: Webhook | None,
        tell: Callable[[Receipt | Exception], None],
        result: Taken | Exception,
    ) -> None:
        if isinstance(result, Taken):
            tell(self._answered(store_id, result.status, "", webhook))
            return
        self._tell_refused(store_id, result)
        tell(result)

    def _tell_refused(self, store_id: str, error: Exception) -> None:
        """Name only stores that are there: anybody may ask for others."""
        self.telling.refused(store_id if self.settings.store(store_id) else "", error)

    def look_around(self) -> None:
        """Ask the database what webhooks are taken in by, so that nothing has to ask in between: time, load, policy."""
        self.database.keep_time()
        is_overloaded(self.database, as_of_seconds=0)
        self.database.read(self.policies.confirm)

    def take_in(
        self, store: StoreSettings, webhook: Webhook, body: bytes, *, via: str = _WEBHOOK, is_silent: bool = False
    ) -> Taken:
        """Record a webhook that is known to be genuine: verified just now, or fetched from the store itself.

        One that is taken in silently goes to no destination.
        """
        intake = self._admitted(store, webhook, body, via, is_silent=is_silent)
        taken: Taken = self.database.write_together(record_webhooks, intake)
        return taken

    def _admitted(
        self,
        store: StoreSettings,
        webhook: Webhook,
        body: bytes,
        via: str = _WEBHOOK,
        *,
        is_silent: bool = False,
        as_of_seconds: float = OVERLOAD_SECONDS,
    ) -> Intake:
        """Return what is to be recorded, unless too much waits already."""
        if is_overloaded(self.database, as_of_seconds=as_of_seconds):
            raise Overloaded
        policy = self.policies.newest(store.id, as_of_seconds=as_of_seconds)
        return self._intake(store, webhook, body, via, policy, is_silent=is_silent)

    @contextmanager
    def _answering(self, store_id: str) -> Iterator[None]:
        """Trace one webhook, and tell of it when it is refused."""
        try:
            with self.telling.span("webhook", store=store_id):
                yield
        except Exception as error:
            self._tell_refused(store_id, error)
            raise

    def _answered(self, store_id: str, status: str, reason: str, webhook: Webhook | None) -> Receipt:
        self.telling.received(store_id, status, reason, webhook)
        return Receipt(status, reason)

    def _read(
        self, store_id: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[StoreSettings, Webhook | None, str]:
        """Return a webhook that is genuine, or why it is ignored."""
        store = self.settings.store(store_id)
        if store is None:
            raise StoreUnknown
        reader = PLATFORMS[Platform(store.platform)]
        if reader.is_ping(headers, body):
            return store, None, "ping"
        reader.verify(headers, body, store.secrets)
        webhook = reader.parse(headers, body, detection_of(store), include_tests=store.test_orders)
        return store, webhook, webhook.ignored

    def _intake(
        self, store: StoreSettings, webhook: Webhook, body: bytes, via: str, policy: Policy, *, is_silent: bool
    ) -> Intake:
        now = self.database.now()
        group = None if is_silent else webhook.group
        addressees = self.parts.addressees(store.id, group, webhook.topic) if group else ()
        order = webhook.order
        evidence = _dated_evidence(order, now) if order else None
        return Intake(
            store_id=store.id,
            webhook=webhook,
            received_at=now,
            policy=policy,
            via=via,
            key_id=self.keyring.key_id,
            sealed=self.keyring.seal(body, purpose="body") if addressees else None,
            evidence=with_gpc_rule(evidence, policy.gpc) if evidence else None,
            session_hash=self._digest("session", order.stamped_session if order else None),
            email_hash=self._digest("email", _email_of(webhook)),
            erased_emails=self._erased_emails(webhook),
            key_hashes=self._key_hashes(order) if order else (),
            addressees=addressees,
            trace=self.telling.traceparent(),
            may_fetch=store.api.is_configured,
        )

    def _key_hashes(self, order: Order) -> tuple[str, ...]:
        named = [("order_id", order.order_id), ("order_key", key_of_order(order.order_id, order.order_key))]
        named += [("checkout_token", token) for token in order.checkout_tokens]
        return tuple(self.keyring.digest(purpose, value) for purpose, value in named if value)

    def _erased_emails(self, webhook: Webhook) -> tuple[str, ...]:
        email = webhook.erasure.email if webhook.erasure else None
        return hashes_of_email(self.keyring, email) if email else ()

    def _digest(self, purpose: str, value: str | None) -> str | None:
        return self.keyring.digest(purpose, value) if value else None

    # --- dispatch ---------------------------------------------------------------------------------------------

    def prepare(self, claimed: Sequence[Claimed]) -> list[Settled | Prepared]:
        """Decide a batch of claimed deliveries; what may leave comes back with its bytes."""
        return self._dispatch.prepare(claimed)

    def send(self, prepared: Prepared) -> Settled:
        """Make one attempt at one delivery."""
        return self._dispatch.send(prepared)

    def put_off(self, claimed: Claimed) -> Settled:
        """Have a delivery tried again that a bug kept back."""
        return self._dispatch.put_off(claimed)

    # --- by the clock -----------------------------------------------------------------------------------------

    def run_renewals(self) -> int:
        """Dispatch every scheduled renewal that is due."""
        count = self.renewals.run()
        self.renewals.miss_no_key()
        return count

    def reconcile_due(self) -> list[Report]:
        """Reconcile the stores whose time it is."""
        return self._reconciler.run_due()

    def reconcile(
        self, store_id: str, since: datetime | None = None, *, is_dry: bool = False, progress: Progress | None = None
    ) -> Report:
        """Reconcile one store at once; raises RequestInvalid for one without an API."""
        return self._reconciler.reconcile(store_id, since, is_dry=is_dry, progress=progress)

    def fetch_parents(self) -> int:
        """Fetch the orders behind renewals that wait for them."""
        return self._watcher.fetch_parents()

    def watch_renewals(self) -> int:
        """Look up renewals that are overdue."""
        return self._watcher.watch()

    def check_webhooks(self) -> int:
        """Ask stores whether they have switched webhooks off."""
        return self._watcher.check_webhooks()

    def retain(self) -> dict[str, int]:
        """Delete what is older than it is to be kept."""
        ages = Ages(body_days=self.settings.retention.body_days, record_days=self.settings.retention.record_days)
        return drop_old_rows(self.database, ages, is_stopping=self._is_stopping.is_set)

    def sweep(self) -> int:
        """Let streams go of which nothing could be claimed, and return how many; end what a lost worker should have."""
        now = self.database.now()
        lost = self.database.read(lambda connection: lost_endings(connection, now=now))
        if lost:
            self.database.write(lambda connection: end_lost(connection, lost, now=now))
        heads = self.database.read(stranded_heads)
        if heads:
            self.database.write(lambda connection: free_heads(connection, heads, now=self.database.now()))
        return len(heads)

    def tell_pauses(self) -> None:
        """Tell of destinations that were paused, or go again, since the last look."""
        pauses = self.database.read(read_pauses)
        self.telling.paused({one.destination_id: one.reason for one in pauses if one.destination_id in self.targets})

    def expire_events(self) -> int:
        """End events that waited too long, wherever they stand."""
        return expire_events(self.database)

    def reconciliations_as_json(self, store_id: str) -> Row:
        """Return how far a store was reconciled, what was found per day, and the state of its webhooks."""

        def job(connection: Connection) -> Row:
            return {
                "reconciled_until": _text(read_mark(connection, store_id, ORDERS), "at"),
                "webhooks": ((read_mark(connection, store_id, WEBHOOKS) or {}).get("detail") or {}).get("webhooks", []),
                "days": days_of(connection, store_id, limit=DAYS_SHOWN),
            }

        return self.database.read(job)

    def stop_waiting(self) -> None:
        """End every wait for a store, so that the process can stop."""
        self._is_stopping.set()

    def _wait(self, seconds: float) -> None:
        if self._is_stopping.wait(seconds):
            raise StoreFailed("stopping")

    def take_over(self) -> int:
        """Go on at once with what another process was sending; only for the one owner of a database, at its start.

        Where the clock was set back meanwhile, nothing waits for longer than it would from now on.
        """
        policies = [self.policies.newest(store.id) for store in self.settings.stores]
        seconds = [value for one in policies for value in (one.hold_seconds, one.event_ttl_seconds)]
        longest, now = timedelta(seconds=max(seconds, default=0)), self.database.now()

        def job(connection: Connection) -> tuple[int, int]:
            return shorten_waits(connection, longest=longest, now=now), end_leases(connection, now=now)

        shortened, taken = self.database.write(job)
        if shortened:
            self.telling.set_back(shortened)
        return taken

    def cancel_removed(self) -> None:
        """Cancel what waits for destinations that the settings no longer name."""

        def job(connection: Connection) -> list[int]:
            return cancel_removed(connection, self.targets, now=self.database.now())

        self.telling.cancelled_removed(len(self.database.write(job)))

    def close(self) -> None:
        """Let go of the database and the network."""
        self.database.close()
        self.stop_waiting()
        self.parts.sender.close()
        self.parts.store_sender.close()
        self.telling.close()

    # --- reading ----------------------------------------------------------------------------------------------

    def scope_of(self, token: str) -> TokenScope | None:
        """Return whom an API token speaks for."""
        return self.database.read(lambda connection: scope_of_token(connection, token))

    def order_as_json(self, store_id: str, order_id: str) -> Row | None:
        """Return an order's consent at order time and now, its history and every delivery."""

        def job(connection: Connection) -> Row | None:
            self.policies.confirm(connection)
            policy = self.policies.newest(store_id)
            return show_order(connection, store_id, order_id, policy, self.database.now())

        return self.database.read(job)


def _email_of(webhook: Webhook) -> str | None:
    return webhook.order.email if webhook.order else webhook.email


def _dated_evidence(order: Order, now: datetime) -> Evidence | None:
    """Give an order's evidence without a time the order's own, or now where it may be from a pay page; never later."""
    evidence = order.evidence
    if evidence is None:
        return None
    at = evidence.captured_at or (None if order.origin in PAID_LATER else order.created_at)
    at = now if at is None or at > now else at
    return evidence if evidence.captured_at == at else replace(evidence, captured_at=at)


def _text(mark: Row | None, name: str) -> str | None:
    return as_text(mark[name]) if mark and mark[name] else None
