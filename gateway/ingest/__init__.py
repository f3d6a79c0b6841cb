"""Things coming in: webhooks and signals, verified and parsed. Pure: no I/O, no clock, no settings."""
