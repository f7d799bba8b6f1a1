"""The DynamoDB table: finished orders, notes on unfinished ones, the stores, and the late path's rate limit."""
