"""An AWS on this machine, with the relay deployed into it."""
