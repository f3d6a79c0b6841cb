"""What happens by the clock: each job is one call on the gateway, safe when any number of processes make it."""

import logging
import threading
from collections.abc import Callable
from typing import Any, Final

from apscheduler.executors.base import BaseExecutor, run_job
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from gateway.flow.gateway import Gateway

#: Name, how often in seconds, and which call on the gateway.
JOBS: Final[tuple[tuple[str, float, Callable[[Gateway], object]], ...]] = (
    ("renewals", 1, Gateway.run_renewals),
    ("parents", 1, Gateway.fetch_parents),
    ("reconcile", 2, Gateway.reconcile_due),
    ("webhooks", 5, Gateway.check_webhooks),
    ("overdue", 15, Gateway.watch_renewals),
    ("events", 2, Gateway.expire_events),
    ("pauses", 5, Gateway.tell_pauses),
    ("sweep", 300, Gateway.sweep),
    ("retention", 600, Gateway.retain),
)


class Scheduler:
    """Runs the jobs of this process. What is due is read from the database, so that a run that is missed costs nothing.

    `coalesce`: runs that were missed become one, which finds everything that fell due meanwhile. No
    `misfire_grace_time`: however late a run is, it is made; to skip it would only make everything later still. One run
    of a job at a time.
    """

    def __init__(self, gateway: Gateway) -> None:
        """Start nothing yet."""
        self._gateway = gateway
        # It would warn at every tick for as long as one run goes on, such as a long look through a store.
        logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)
        self._scheduler = BackgroundScheduler(
            executors={"default": _Threads()},
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
            timezone="UTC",
        )
        for name, seconds, call in JOBS:
            trigger = _AtOnce(seconds=seconds, timezone="UTC")
            self._scheduler.add_job(self._run, trigger, args=(name, call), id=name)

    def start(self) -> None:
        """Run every job at once, and then at its times."""
        self._scheduler.start()

    def stop(self) -> None:
        """Start nothing more; what is under way ends with its next wait, or with the process."""
        self._gateway.stop_waiting()
        self._scheduler.shutdown(wait=False)

    def _run(self, name: str, call: Callable[[Gateway], object]) -> None:
        try:
            call(self._gateway)
            self._gateway.telling.job_done(name)
        except Exception as error:  # noqa: BLE001 - whatever one run brings up, the next one is made
            self._gateway.telling.job_failed(name, error)


class _AtOnce(IntervalTrigger):  # type: ignore[misc] # the library has no types
    """The first run is made when the scheduler starts."""

    def get_next_fire_time(self, previous_fire_time: Any, now: Any) -> Any:
        return now if previous_fire_time is None else super().get_next_fire_time(previous_fire_time, now)


class _Threads(BaseExecutor):  # type: ignore[misc] # the library has no types
    """A thread for each run that does not keep the process from ending: the library's own pool would be waited for."""

    def _do_submit_job(self, job: Any, run_times: list[Any]) -> None:
        threading.Thread(target=self._run, args=(job, run_times), name=f"clock-{job.id}", daemon=True).start()

    def _run(self, job: Any, run_times: list[Any]) -> None:
        self._run_job_success(job.id, run_job(job, job._jobstore_alias, run_times, self._logger.name))  # noqa: SLF001 - what an executor is to give
