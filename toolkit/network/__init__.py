"""The convolutional network: its settings, its module, its checkpoints."""
