"""What InstaDeploy is about, in pure and synchronous Python.

Nothing here performs I/O, reads a clock, draws a random number or logs. The layers above translate
the outside world into these types once, at their edge, and trust them from there on.
"""
