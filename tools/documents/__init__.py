"""What documents say by computing it: the costs, and the parts that programs write. Not deployed."""
