"""Files that hold many pictures or arrays: told by their first bytes, read in place under limits, nothing written."""
