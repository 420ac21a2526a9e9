"""Looking at a host: what is wrong with it, and how it is. Nothing is changed."""
