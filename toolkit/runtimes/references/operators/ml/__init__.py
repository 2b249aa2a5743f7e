"""Operators of the domain ai.onnx.ml: what its short texts leave open is as ONNX Runtime has it, and said so."""
