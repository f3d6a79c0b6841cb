"""The delivery loop: what is due is claimed, decided, sent and settled."""

from gateway.worker.loop import Pace, Worker

__all__ = ["Pace", "Worker"]
