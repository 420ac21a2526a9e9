"""The local HTTP debug transport. It needs the extra `debug-http`; nothing imports it unasked."""
