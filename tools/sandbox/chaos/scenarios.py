"""The named fault scenarios of `make chaos`, all of them."""

from sandbox.chaos import aws as chaos_aws
from sandbox.chaos import late as chaos_late
from sandbox.chaos import live as chaos_live
from sandbox.chaos import load as chaos_load
from sandbox.chaos import secrets as chaos_secrets
from sandbox.chaos.registry import HEAVY, LONG, SCENARIOS

__all__ = ["HEAVY", "LONG", "SCENARIOS"]

THEMES = (chaos_live, chaos_late, chaos_secrets, chaos_aws, chaos_load)
"""Importing them enters their scenarios into the list."""
