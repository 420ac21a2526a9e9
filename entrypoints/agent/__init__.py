"""The agent as a program."""

from entrypoints.agent.sparing import load_without

# It would load YAML for a feature that nobody uses here; an agent that is idle has no use for it.
load_without("dependency_injector.containers", "yaml")
