"""Archives read in place, member after member; nothing is ever written."""
