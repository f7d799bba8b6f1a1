"""Fault scenarios, and a random run of many."""
