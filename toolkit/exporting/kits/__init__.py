"""Kits: a folder for each way to embed a model, filled from its card, checked in its own runtime."""
