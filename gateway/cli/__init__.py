"""The command `gateway`: one module per group of commands, `program` chooses."""
