"""How a report is told where it is shown by itself."""
