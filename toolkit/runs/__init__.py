"""A run on a disk: its configuration, checkpoints, history, and the models that came from it."""
