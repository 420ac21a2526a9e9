"""How the tables came to be: each version once, and as it is for ever once it has been released."""
