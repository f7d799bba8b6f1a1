"""A simulated BigCommerce: both APIs, webhooks, faults."""
