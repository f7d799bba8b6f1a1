"""template.yaml as plain values. Not deployed."""
