"""What `make build` and `make deploy` do."""
