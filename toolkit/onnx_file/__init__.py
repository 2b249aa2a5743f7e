"""An .onnx file as bytes and as a graph, read without an engine."""
