"""Operators by the standard's own text, opset by opset, where ONNX's evaluator is wrong, too narrow or has none."""
