"""What is measured, a part a file: `measure(experiment)` returns its rows, flat and with the units in their names."""
