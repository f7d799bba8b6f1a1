"""`relay`: the operator's command line. It runs on a person's machine and is not deployed."""
