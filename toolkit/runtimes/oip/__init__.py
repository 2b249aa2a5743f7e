"""Servers of the Open Inference Protocol as runtimes."""
