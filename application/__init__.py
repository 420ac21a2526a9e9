"""Use cases. They know the domain and the ports, and never a library that performs I/O."""
