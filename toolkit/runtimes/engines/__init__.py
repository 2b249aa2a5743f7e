"""Engines, one a file, behind the protocol of a runtime; nothing else."""
