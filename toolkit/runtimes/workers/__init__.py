"""Processes that hold an engine: what the parent speaks to, what runs in the child, and the frames between."""
