"""The ports' implementations: one package a role. Each translates foreign errors at its own edge."""
