"""`python -m gateway` is the command `gateway`."""

import sys

from gateway.cli.program import main

sys.exit(main())
