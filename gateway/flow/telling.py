"""What the flow tells of itself: logs, metrics and traces, in the words that telemetry keeps."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from gateway.errors import NotRecorded, Overloaded, StartRefused, WebhookRejected
from gateway.model.consent import Channel
from gateway.model.decision import Decision
from gateway.model.delivery import DeliveryState, Outcome, OutcomeKind
from gateway.model.order import Webhook
from gateway.model.session import Verdict
from gateway.storage.backlog import count_unfinished
from gateway.storage.database import Database
from gateway.storage.queue import Claimed
from gateway.storage.reconciling import disabled_webhooks
from gateway.telemetry import (
    Backlog,
    Metrics,
    Together,
    Tracer,
    TracingUnavailable,
    add_counts,
    connect_tracer,
    count_errors,
    log_attempt,
    log_decision,
    log_error,
    log_event,
    log_webhook,
    remembered,
)


class Telling:
    """One line, one count and one span per thing that happens; ids and reasons, never a person's data."""

    def __init__(self, database: Database, destination_ids: Collection[str], *, otlp_endpoint: str = "") -> None:
        """Count in this process; what lies in the database is counted when it is asked for."""
        self._database = database
        self._destination_ids = destination_ids
        self.metrics = Metrics()
        self.metrics.watch(self._backlog)
        self._count_webhook = remembered(self.metrics.webhooks)
        self._count_decision = remembered(self.metrics.decisions)
        self._count_attempt = remembered(self.metrics.attempts)
        self._time_attempt = remembered(self.metrics.attempt_seconds)
        self._count_delivery = remembered(self.metrics.deliveries)
        database.watch_commits(self._committed)
        database.watch_endings(self._ended_undecided)
        database.watch_refusals(self.metrics.errors.labels("database").inc)
        self._stop_counting = count_errors(lambda where: self.metrics.errors.labels(where).inc())
        self._tracer = _tracer(otlp_endpoint)
        self._paused: frozenset[str] = frozenset()
        self._together: Together | None = None
        self._counted_beside: Callable[[], bytes] | None = None

    def span(self, name: str, *, parent: str | None = None, **attributes: object) -> AbstractContextManager[None]:
        """Trace what happens inside."""
        return self._tracer.span(name, parent=parent, **attributes)

    @property
    def is_tracing(self) -> bool:
        """Whether spans go anywhere."""
        return self._tracer.is_tracing

    def traceparent(self) -> str | None:
        """Return what links a delivery to its webhook."""
        return self._tracer.current_traceparent()

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        own = self.metrics.render()
        if self._counted_beside is not None:
            own = add_counts(own, [self._counted_beside()])
        return self._together.add(own) if self._together else own

    def tell_of(self, counted: Callable[[], bytes]) -> None:
        """Add what another process has counted, as `counted` returns it, whenever the metrics are asked for."""
        self._counted_beside = counted

    def tell_together(self, folder: Path) -> None:
        """Tell of all processes that answer on this port; they share `folder`."""
        self._together = Together(folder, self.metrics.counted)

    def close(self) -> None:
        """Export what is left."""
        self._stop_counting()
        if self._together:
            self._together.close()
        self._tracer.close()

    # --- webhooks ---------------------------------------------------------------------------------------------

    def received(self, store_id: str, status: str, reason: str, webhook: Webhook | None) -> None:
        """A webhook was answered 200."""
        self._count_webhook(store_id, status, reason).inc()
        topic, order = (webhook.topic, webhook.order_id) if webhook else ("", None)
        log_webhook(store=store_id, topic=topic, status=status, reason=reason, order=order)

    def refused(self, store_id: str, error: Exception) -> None:
        """A webhook was refused, or could not be recorded."""
        if isinstance(error, Overloaded):
            self.overloaded()
        if isinstance(error, WebhookRejected):
            self._not_taken(store_id, error.status)
        elif isinstance(error, NotRecorded):
            self._not_taken(store_id, "not_recorded", error.reason, word=str(error).replace(" ", "_"))
        else:
            self._not_taken(store_id, "not_recorded", "error", word=type(error).__name__)

    def timed_out(self, store_id: str) -> None:
        """A webhook stopped in the middle of its body."""
        self._not_taken(store_id, "request_timeout")

    def overloaded(self) -> None:
        """Something was refused because too much waits."""
        self.metrics.queue_refused.inc()

    def _not_taken(self, store_id: str, status: str, reason: str = "", *, word: str | None = None) -> None:
        self._count_webhook(store_id, status, reason).inc()
        log_webhook(store=store_id, topic="", status=status, reason=reason, word=word)

    # --- deliveries -------------------------------------------------------------------------------------------

    def decided(self, claimed: Claimed, decision: Decision) -> None:
        """A delivery was decided."""
        self._count_decision(
            claimed.store_id, claimed.destination_id, decision.action.value, decision.reason.value
        ).inc()
        if self.is_tracing:
            told = {"action": decision.action.value, "reason": decision.reason.value}
            with self.span("decision", parent=claimed.trace, **told, **_place(claimed)):
                pass
        log_decision(
            store=claimed.store_id,
            destination=claimed.destination_id,
            action=decision.action.value,
            reason=decision.reason.value,
            reasons=decision.reasons,
            policy_version=decision.policy_version,
            delivery=claimed.id,
            order=claimed.order_id,
        )

    def attempt_span(self, claimed: Claimed, number: int) -> AbstractContextManager[None]:
        """Trace an attempt, in the trace of its webhook."""
        return self.span("attempt", parent=claimed.trace, attempt=number, **_place(claimed))

    def note_outcome(self, outcome: Outcome) -> None:
        """Tell in its span what an attempt came to."""
        is_failure = outcome.kind is not OutcomeKind.DELIVERED
        self._tracer.note(is_failure=is_failure, outcome=outcome.kind.value, word=outcome.word)

    def attempted(
        self, claimed: Claimed, outcome: Outcome, *, number: int, started_at: datetime, ended_at: datetime
    ) -> None:
        """An attempt was made."""
        took = max((ended_at - started_at).total_seconds(), 0.0)
        self._count_attempt(claimed.store_id, claimed.destination_id, outcome.word).inc()
        self._time_attempt(claimed.destination_id).observe(took)
        if number == 1:
            waited = max((started_at - claimed.accepted_at).total_seconds(), 0.0)
            self.metrics.accept_to_first_attempt.observe(waited)
        log_attempt(
            store=claimed.store_id,
            destination=claimed.destination_id,
            attempt=number,
            outcome=outcome.kind.value,
            word=outcome.word,
            code=outcome.status_code,
            duration_ms=round(took * 1000),
            delivery=claimed.id,
            webhook=claimed.message_id,
            order=claimed.order_id,
        )

    def lost(self, claimed: Claimed) -> None:
        """A worker was never heard of again; the delivery that it was sending is taken over."""
        self.put_off(claimed, "lease_expired")

    def put_off(self, claimed: Claimed, word: str) -> None:
        """An attempt came to nothing inside the gateway; another one is made."""
        self._count_attempt(claimed.store_id, claimed.destination_id, word).inc()
        log_event("attempt", logging.WARNING, **_place(claimed), outcome=OutcomeKind.RETRY.value, word=word)

    def ended(self, claimed: Claimed, state: DeliveryState) -> None:
        """A delivery changed its state."""
        self._count_delivery(claimed.store_id, claimed.destination_id, state.value).inc()

    def leaked(self, claimed: Claimed, names: Sequence[str]) -> None:
        """The egress proof found a denied value; the delivery stays."""
        self.metrics.leaks.labels(claimed.store_id, claimed.destination_id).inc()
        log_event(
            "leak",
            logging.ERROR,
            store=claimed.store_id,
            destination=claimed.destination_id,
            delivery=claimed.id,
            order=claimed.order_id,
            identifiers=list(names),
        )

    def key_missing(self, claimed: Claimed) -> None:
        """A body was sealed under a key that is not at hand; its delivery waits."""
        self.metrics.errors.labels("key").inc()
        log_event("error", logging.ERROR, where="dispatch", word="key_missing", **_place(claimed))

    def failed(self, claimed: Claimed, error: Exception) -> None:
        """Something went wrong inside the gateway."""
        log_error("dispatch", error, **_place(claimed))

    def paused(self, reasons: Mapping[str, str]) -> None:
        """These destinations are paused at the moment; tell of those that were not, or are not any more."""
        for destination_id in sorted(reasons.keys() - self._paused):
            log_event("destination_paused", logging.ERROR, destination=destination_id, reason=reasons[destination_id])
        for destination_id in sorted(self._paused - reasons.keys()):
            log_event("destination_resumed", logging.WARNING, destination=destination_id)
        self._paused = frozenset(reasons)

    def cancelled_removed(self, count: int) -> None:
        """Deliveries were cancelled because the settings no longer name their destinations."""
        if count:
            log_event("cancelled", logging.WARNING, reason="destination_removed", count=count)

    def set_back(self, count: int) -> None:
        """Deliveries may go sooner, because the clock was set back while nothing ran."""
        log_event("clock_set_back", logging.WARNING, count=count)

    # --- stores asked by the clock ----------------------------------------------------------------------------

    def compared(self, store_id: str, *, seen: int, found: int) -> None:
        """Changes in a store were compared with what its webhooks had brought."""
        self.metrics.reconcile_seen.labels(store_id).inc(seen + found)
        self.metrics.reconcile_found.labels(store_id).inc(found)
        if found:
            log_event("reconciled", logging.WARNING, store=store_id, count=found)

    def webhook_disabled(self, store_id: str, webhook_id: str, topic: str, *, is_activated: bool) -> None:
        """A store has switched one of its webhooks off."""
        word = "activated" if is_activated else "disabled"
        log_event("webhook_disabled", logging.ERROR, store=store_id, webhook=webhook_id, topic=topic, status=word)

    def store_failed(self, store_id: str, word: str) -> None:
        """A store's API did not answer as it should."""
        self.metrics.errors.labels("store_api").inc()
        log_event("store_failed", logging.WARNING, store=store_id, word=word)

    def job_done(self, name: str) -> None:
        """A job of the clock came to its end."""
        self.metrics.job_done_at.labels(name).set(self._database.now().timestamp())

    def job_failed(self, name: str, error: Exception) -> None:
        """A job of the clock failed; it is tried again at its next time."""
        log_error("clock", error, job=name)

    # --- signals and events -----------------------------------------------------------------------------------

    def signalled(self, store_id: str, channel: Channel, status: str) -> None:
        """A signal or a withdrawal was recorded, or shed."""
        self.metrics.signals.labels(store_id, channel.value, status).inc()
        log_event("signal", store=store_id, channel=channel.value, status=status)

    def events_received(self, store_id: str, verdicts: Sequence[Verdict]) -> None:
        """Session events were taken in, each with its verdict."""
        for verdict, count in Counter(verdicts).items():
            self.metrics.events.labels(store_id, verdict.value).inc(count)
            log_event("events", store=store_id, status=verdict.value, count=count)

    def request_refused(self, store_id: str, door: str, status: str) -> None:
        """A signal, events or a call of the API were refused."""
        self.metrics.requests_refused.labels(store_id, door, status).inc()
        log_event("refused", store=store_id, where=door, status=status)

    def _ended_undecided(self, ended: Sequence[tuple[str, str, str]]) -> None:
        for named, count in Counter(ended).items():
            self._count_delivery(*named).inc(count)

    def _committed(self, seconds: float, batch: int) -> None:
        self.metrics.commit_seconds.observe(seconds)
        self.metrics.batch_size.observe(batch)

    def _backlog(self) -> Backlog:
        now = self._database.now()
        unfinished = self._database.read(lambda connection: count_unfinished(connection, now))
        return Backlog(
            rows_waiting=unfinished.rows,
            oldest_waiting_seconds=unfinished.oldest_seconds,
            paused={one: one in unfinished.paused for one in self._destination_ids},
            webhook_disabled=self._database.read(disabled_webhooks),
        )


def _place(claimed: Claimed) -> dict[str, object]:
    return {"store": claimed.store_id, "destination": claimed.destination_id, "delivery": claimed.id}


def _tracer(otlp_endpoint: str) -> Tracer:
    try:
        return connect_tracer(otlp_endpoint)
    except TracingUnavailable as error:
        raise StartRefused(str(error)) from error
