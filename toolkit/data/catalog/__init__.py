"""Data sets that can be fetched by name, and where they come from."""
