"""The program that runs one step of a job, and outlives the agent that started it."""
