"""The wire: the only place that encodes or decodes messages."""
