"""Around one measurement: variants opened and fed, their turns and windows, and what the machine can do at best."""
