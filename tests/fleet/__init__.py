"""A fleet of simulated agents over real sockets: thousands in a process, each doing what a script says.

It is written against docs/protocol-v2.md and docs/protocol.md and shares no code with the agent or the
control plane. What an agent keeps outlives its links, and what it does is written in a ledger of its
own, which `checking` compares with what a control plane says. `python -m tests.fleet --help`.
"""
