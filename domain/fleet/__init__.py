"""The control plane's own nouns: hosts, enrolments, deployments, and jobs as they are seen from there."""
