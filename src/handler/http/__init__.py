"""HTTP with a total time limit, retries, and tolerant reading of answers."""
