"""ONNX Runtime, strictly: the thin layer, sessions, IO binding, the runtime."""
