"""Everything that can be shown of a provider on one machine, by the commands that people use."""
