"""`make sandbox`: the page, and what it can do."""
