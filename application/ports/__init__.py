"""What the use cases need of the outside world, in domain words. Each docstring is the contract."""
