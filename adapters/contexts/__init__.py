"""Which control planes an operator uses, and the tokens for them."""
