"""What every implementation of a port must do: subclass, give the fixtures, and the tests run."""
