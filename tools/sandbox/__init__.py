"""A BigCommerce store and an AWS account on a laptop, for tests, demos and benchmarks. Nothing here is deployed."""
