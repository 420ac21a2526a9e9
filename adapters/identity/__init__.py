"""Keys: Ed25519 from whichever library is there, and the files that keys live in."""
