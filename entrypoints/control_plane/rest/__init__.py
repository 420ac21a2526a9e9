"""The API: HTTP and JSON on one side, use cases on the other. Codes become statuses here alone."""
