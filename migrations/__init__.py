"""Schema changes, in order; applied by `gateway migrate`."""
