"""What an operator's program works out of what the control plane tells."""
