"""One's own torch module as a file, held against the module's own answers in float64."""
