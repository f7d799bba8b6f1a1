"""An HTTP client with a total time limit, retries and tolerant parsing."""
