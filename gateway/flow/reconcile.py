"""Reconciliation: what changed in a store is compared with what webhooks brought; what is missing is taken in."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from gateway.errors import NotRecorded, RequestInvalid
from gateway.flow.changes import OVERLAP, Change, changes_of, is_known, missed_webhooks, parse_fetched, refund_webhooks
from gateway.flow.item import RECONCILED
from gateway.flow.parts import Parts
from gateway.flow.stores import open_api
from gateway.flow.stores.api import Page, Payload, StoreApi, StoreFailed, TakeIn
from gateway.flow.subscribed import Subscribed
from gateway.ingest.body import write_body
from gateway.ingest.platform import digest_of
from gateway.model.order import Webhook
from gateway.settings import StoreSettings
from gateway.storage.consent import order_rows
from gateway.storage.reconciling import (
    ORDERS,
    count_days,
    keep_turn,
    known_guards,
    last_reconciled,
    put_mark,
    read_mark,
    take_turn,
)
from gateway.storage.statements import Connection, Row

_FIRST_LOOK: Final = timedelta(hours=1)  # how far back a store is read that was never read before
_SETTLE: Final = timedelta(minutes=2)  # how long a webhook may be on its way
_LEASE: Final = timedelta(minutes=5)
_TRY_AGAIN: Final = timedelta(minutes=1)
_TURN: Final = "reconcile"


class Progress(Protocol):
    """Is told how far a run is."""

    def __call__(self, done: int, total: int | None) -> None:
        """Say how many changes were looked at, of how many, where the store says."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one run came to. `found` are the ids of orders whose change no webhook had brought; `failure` is a word."""

    store_id: str
    since: datetime
    seen: int = 0
    found: tuple[str, ...] = ()
    taken: int = 0
    unreadable: int = 0
    is_dry: bool = False
    failure: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether the store was read to the end."""
        return not self.failure


@dataclass(slots=True)
class _Run:
    """How far one run is; `high` is the latest change that was compared, `mark` where the last run had ended."""

    store: StoreSettings
    since: datetime
    until: datetime | None
    mark: datetime | None
    is_dry: bool
    moves_mark: bool
    progress: Progress | None
    high: datetime | None = None
    is_sorted: bool = True
    looked_at: int = 0
    seen: int = 0
    found: list[str] = field(default_factory=list)
    taken: int = 0
    unreadable: int = 0
    seen_days: Counter[str] = field(default_factory=Counter)
    found_days: Counter[str] = field(default_factory=Counter)


class Reconciler:
    """Compares stores with what was received; safe in any number of processes."""

    def __init__(self, parts: Parts, take_in: TakeIn, wait: Callable[[float], None]) -> None:
        """Take missing changes in by `take_in`; `wait` sleeps for that many seconds."""
        self._parts = parts
        self._database = parts.database
        self.take_in = take_in
        self._wait = wait
        self._subscribed = Subscribed(parts, take_in)

    def stores(self) -> list[StoreSettings]:
        """Return the stores that can be asked."""
        return [store for store in self._parts.settings.stores if store.api.is_configured]

    def api_of(self, store: StoreSettings) -> StoreApi:
        """Return the API of a store; raises StoreFailed."""
        allow_plain = self._parts.settings.worker.allow_private_destinations
        return open_api(store, self._parts.store_sender, wait=self._wait, allow_plain=allow_plain)

    def run_due(self) -> list[Report]:
        """Reconcile every store whose time it is and that no other process is at."""
        return [self._take_turn(store) for store in self.stores() if self.takes_turn(store.id, _TURN, _LEASE)]

    def reconcile(
        self, store_id: str, since: datetime | None = None, *, is_dry: bool = False, progress: Progress | None = None
    ) -> Report:
        """Take in what changed in a store after `since` and no webhook brought; by default, after the last run.

        A dry run changes nothing. What goes wrong on the way is a word in the report; the next run begins there.
        """
        store = self._parts.settings.store(store_id)
        if store is None or not store.api.is_configured:
            raise RequestInvalid({"store": ["there is no such store, or its [stores.api] is not filled in"]})
        run = self._begun(store, since, is_dry=is_dry, progress=progress)
        failure = self._read(run)
        self._settle(run, is_whole=not failure)
        return Report(
            store_id=store.id,
            since=run.since,
            seen=run.seen,
            found=tuple(run.found),
            taken=run.taken,
            unreadable=run.unreadable,
            is_dry=is_dry,
            failure=failure,
        )

    def take_missed(self, store: StoreSettings, api: StoreApi, changes: Sequence[Change]) -> int:
        """Take in those of some orders whose last change no webhook brought; return how many there were."""
        known = self._known(store.id, changes)
        rows = [(one, known.get((store.id, one.order.order_id))) for one in changes]
        missed = [(one, row) for one, row in rows if not is_known(row, one.order)]
        days = Counter(one.day for one, row in missed if self._take(store, api, one, row))
        if days:
            found = {day: (0, count) for day, count in days.items()}
            self._database.write(lambda connection: count_days(connection, store.id, found))
            self._parts.telling.compared(store.id, seen=0, found=days.total())
        return days.total()

    def take_silently(self, store: StoreSettings, api: StoreApi, payload: Payload, topic: str) -> None:
        """Remember what an order or subscription says of consent, without sending it anywhere.

        Its row keeps no time of change, so that reconciliation and webhooks still count as news.
        """
        body = write_body(payload)
        webhook = parse_fetched(store, api, topic, body)
        if webhook is not None:
            order = replace(webhook.order, updated_at=None) if webhook.order else None
            quiet = replace(webhook, key=digest_of("fetched", topic, body), guard=None, order=order)
            self.take_in(store, quiet, body, via=RECONCILED, is_silent=True)

    def takes_turn(self, store_id: str, name: str, lease: timedelta) -> bool:
        """Take a job of a store for this process, when it is time for it."""
        now = self._database.now()
        mark = self._database.read(lambda connection: read_mark(connection, store_id, f"turn:{name}"))
        if mark is not None and mark["at"] is not None and mark["at"] > now:
            return False
        return self._database.write(
            lambda connection: take_turn(connection, store_id, name, until=now + lease, now=now)
        )

    def end_turn(self, store_id: str, name: str, next_in: timedelta) -> None:
        """Say when the job may be taken again."""
        now = self._database.now()
        self._database.write(lambda connection: keep_turn(connection, store_id, name, until=now + next_in, now=now))

    # --- one run ----------------------------------------------------------------------------------------------

    def _take_turn(self, store: StoreSettings) -> Report:
        next_in = timedelta(minutes=store.api.reconcile_minutes)
        report = None
        try:
            report = self.reconcile(store.id)
        finally:
            is_done = report is not None and report.is_complete
            self.end_turn(store.id, _TURN, next_in if is_done else min(next_in, _TRY_AGAIN))
        return report

    def _begun(self, store: StoreSettings, since: datetime | None, *, is_dry: bool, progress: Progress | None) -> _Run:
        now = self._database.now()
        stored = self._database.read(lambda connection: read_mark(connection, store.id, ORDERS))
        mark = stored["at"] if stored else None
        begins_at = since or mark or now - _FIRST_LOOK
        settle = min(_SETTLE, timedelta(minutes=store.api.reconcile_minutes) / 2)
        return _Run(
            store=store,
            since=begins_at,
            until=None if since else now - settle,
            mark=mark,
            is_dry=is_dry,
            # A run by hand that begins later than the last one ended would leave a gap behind the mark.
            moves_mark=not is_dry and (since is None or (mark is not None and since <= mark)),
            progress=progress,
        )

    def _read(self, run: _Run) -> str:
        """Read the store to the end; return the word of what went wrong on the way."""
        try:
            api = self.api_of(run.store)
            for page in api.orders_since(run.since - OVERLAP):
                self._compare(run, api, page)
            if not run.is_dry:
                run.taken += self._subscribed.take_missed(run.store, api, since=run.since, until=run.until)
        except StoreFailed as error:
            self._parts.telling.store_failed(run.store.id, error.word)
            return error.word
        except NotRecorded:
            return "not_recorded"
        return ""

    def _compare(self, run: _Run, api: StoreApi, page: Page) -> None:
        changes = changes_of(run.store, page.payloads)
        run.looked_at += len(page.payloads)
        run.unreadable += len(page.payloads) - len(changes)
        settled = [one for one in changes if run.until is None or one.at <= run.until]
        known, again = self._known(run.store.id, settled), self._again(run.store.id, settled)
        for one in sorted(settled, key=lambda change: change.at):
            row = known.get((run.store.id, one.order.order_id))
            if is_known(row, one.order):
                self._seen(run, one, is_again=one.order.order_id in again)
            else:
                self._found(run, api, one, row)
            self._find_refunds(run, api, one)
        self._move(run, changes, settled, is_by_time=page.is_by_time)
        if run.progress is not None:
            run.progress(run.looked_at, page.total)

    def _seen(self, run: _Run, change: Change, *, is_again: bool) -> None:
        run.seen += 1
        if not is_again and (run.mark is None or change.at > run.mark):
            run.seen_days[change.day] += 1

    def _found(self, run: _Run, api: StoreApi, change: Change, row: Row | None) -> None:
        if run.is_dry:
            is_news = bool(missed_webhooks(run.store, api, change, row))
        else:
            is_news = self._take(run.store, api, change, row)
            run.taken += is_news
        if is_news:
            run.found.append(change.order.order_id)
            run.found_days[change.day] += 1

    def _find_refunds(self, run: _Run, api: StoreApi, change: Change) -> None:
        """Take in the refunds of an order that no webhook brought, even where the order's own change is known."""
        told = {
            one.guard or "": (one, body) for one, body in refund_webhooks(run.store, api, change, run.since - OVERLAP)
        }
        if not told:
            return
        known = self._database.read(lambda connection: known_guards(connection, run.store.id, told))
        missed = [one for guard, one in told.items() if guard not in known]
        if not run.is_dry:
            missed = [one for one in missed if self._is_taken(run.store, *one)]
            run.taken += len(missed)
        if missed and change.order.order_id not in run.found:
            run.found.append(change.order.order_id)
        run.found_days[change.day] += len(missed)

    def _is_taken(self, store: StoreSettings, webhook: Webhook, body: bytes) -> bool:
        return self.take_in(store, webhook, body, via=RECONCILED).status == "accepted"

    def _move(self, run: _Run, changes: Sequence[Change], settled: Sequence[Change], *, is_by_time: bool) -> None:
        """Move the mark behind a page, as long as the store keeps to the order that it was asked for."""
        times = [change.at for change in changes]
        follows = not times or run.high is None or times[0] >= run.high
        run.is_sorted = run.is_sorted and is_by_time and follows and times == sorted(times)
        run.high = max((one for one in (run.high, *(change.at for change in settled)) if one), default=None)
        if run.is_sorted:
            self._settle(run, is_whole=True)
        if not run.is_dry:
            self.end_turn(run.store.id, _TURN, _LEASE)

    def _settle(self, run: _Run, *, is_whole: bool) -> None:
        """Write the mark and the counts together, so that nothing is counted twice; a part counts what was found."""
        days = {day: (run.seen_days[day], run.found_days[day]) for day in {*run.seen_days, *run.found_days}}
        if not is_whole:
            days = {day: (0, found) for day, (_, found) in days.items()}
        at = max(one for one in (run.mark or run.since, run.high) if one)

        def job(connection: Connection) -> None:
            count_days(connection, run.store.id, days)
            if is_whole and run.moves_mark:
                put_mark(connection, run.store.id, ORDERS, at=at, detail=None, now=self._database.now())

        if not run.is_dry:
            self._database.write(job)
            counts = list(days.values())
            self._parts.telling.compared(
                run.store.id, seen=sum(one[0] for one in counts), found=sum(one[1] for one in counts)
            )
        run.seen_days.clear()
        run.found_days.clear()

    # --- one change -------------------------------------------------------------------------------------------

    def _take(self, store: StoreSettings, api: StoreApi, change: Change, row: Row | None) -> bool:
        return sum(self._is_taken(store, *one) for one in missed_webhooks(store, api, change, row)) > 0

    def _known(self, store_id: str, changes: Sequence[Change]) -> dict[tuple[str, str], Row]:
        keys = [(store_id, change.order.order_id) for change in changes]
        return self._database.read(lambda connection: order_rows(connection, keys))

    def _again(self, store_id: str, changes: Sequence[Change]) -> set[str]:
        ids = [change.order.order_id for change in changes]
        return self._database.read(lambda connection: last_reconciled(connection, store_id, ids)) if ids else set()
