"""One window of calls measured, next to the engine: how long, in which scenario, beside what else."""
