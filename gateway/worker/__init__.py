"""The delivery loop: what is due is claimed, decided, sent and settled."""

from gateway.worker.loop import Pace, Worker
from gateway.worker.preparing import Dispatching

__all__ = ["Dispatching", "Pace", "Worker"]
