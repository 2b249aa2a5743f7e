"""Data and reports to PNG bytes; nothing here touches a file or pyplot's global state."""
