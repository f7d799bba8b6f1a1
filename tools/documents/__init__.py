"""template.yaml as plain values, and the parts of documents that programs write. Not deployed."""
