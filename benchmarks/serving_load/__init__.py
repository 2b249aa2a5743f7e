"""What `benchmarks/serving.py` starts and sends."""
