"""What operators and agents ask of the control plane."""
