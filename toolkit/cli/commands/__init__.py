"""What a command is asked: its options and what they mean; one file a verb."""
