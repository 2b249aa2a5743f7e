"""Faults put into exported graphs, and who sees them."""
