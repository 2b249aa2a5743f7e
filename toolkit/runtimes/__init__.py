"""Engines that can execute a model, each behind the same small protocol, each able to run in its own process."""
