"""Why a row failed: what the file states, the usual mistakes, the first wrong node, the worst sample again."""
