"""`gateway` with a server whose inside is not what it was: run as `python -m tests.engine.unknown_server run ...`."""

import sys

import granian._futures

from gateway.cli.program import main

if __name__ == "__main__":
    del vars(granian._futures)["_BaseCBScheduler"]
    sys.exit(main())
