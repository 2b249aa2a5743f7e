"""What happens inside an epoch: a step, its state, its randomness, the processes that take it together."""
