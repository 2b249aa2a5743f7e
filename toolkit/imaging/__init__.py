"""From pixels in files to what a model takes: decode, polarity, fit. NumPy and Pillow only."""
