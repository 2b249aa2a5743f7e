"""What a user names, item by item: pictures that are still encoded, and blocks of pixels."""
