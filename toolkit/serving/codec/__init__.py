"""The Open Inference Protocol v2 as bytes: requests read and refused, answers written."""
