"""All that a database holds, as a stream that any of our databases can be made of again."""
