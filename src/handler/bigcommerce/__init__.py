"""Clients of BigCommerce's APIs, their credentials, and the authentication of webhooks."""
