"""B2B Order Relay: store webhooks in, B2B Edition order records out. Start reading at `app`."""
