"""Latency and throughput of a model file, measured in worker processes."""
