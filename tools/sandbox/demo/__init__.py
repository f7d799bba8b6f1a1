"""The orders of `make run` and the samples of `make invoke`."""
