"""The delivery loop: what is due is claimed, decided, sent and settled."""

from gateway.worker.loop import Dispatching, Pace, Worker

__all__ = ["Dispatching", "Pace", "Worker"]
