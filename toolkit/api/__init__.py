"""The library's face: what a verb of the command line does, as one function that returns its report."""
