"""`instadeploy`, the operator's command line: a client of the control plane's API, and nothing else."""
