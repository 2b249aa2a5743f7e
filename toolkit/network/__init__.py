"""The convolutional network: its settings, its module, where it computes; nothing on disk."""
