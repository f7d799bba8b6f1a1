"""The named fault scenarios of `make chaos`, all of them."""

from sandbox import chaos_answers, chaos_aws, chaos_late, chaos_live, chaos_load, chaos_secrets
from sandbox.chaos_list import HEAVY, LONG, SCENARIOS

__all__ = ["HEAVY", "LONG", "SCENARIOS"]

THEMES = (chaos_live, chaos_answers, chaos_late, chaos_secrets, chaos_aws, chaos_load)
"""Importing them enters their scenarios into the list."""
