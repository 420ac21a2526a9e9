"""The control plane's API, as a client sees it."""
