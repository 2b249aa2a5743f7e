"""From items to answered blocks: decoding, fitting and running at the same time, in bounded memory."""
