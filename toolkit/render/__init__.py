"""Reports as text for people: tables and sentences; the only place that makes them."""
