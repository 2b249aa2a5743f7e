"""Where rows go: one sink a format, and the file while it is unfinished."""
