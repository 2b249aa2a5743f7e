"""HTTP: routes, requests under caps, connections under limits, and a server that keeps its word at the end."""
