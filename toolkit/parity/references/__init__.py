"""What engines are held against: our own model by its run, a stranger's by two witnesses."""
