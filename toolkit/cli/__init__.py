"""The command line: one short file per command, heavy imports inside the body."""
