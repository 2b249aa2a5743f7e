"""What a command does between its options and its last line; one file a verb."""
