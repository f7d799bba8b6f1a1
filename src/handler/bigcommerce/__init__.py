"""Clients of BigCommerce's APIs, the credentials for them, and the check of a webhook's origin."""
