"""Which runtimes and providers really work here and, where one does not, exactly why."""
