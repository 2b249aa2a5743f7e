"""One-node files of every opset, and who says what their answers are."""
