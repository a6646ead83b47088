"""The edge in: parse, check, pseudonymise, identify, publish; nothing is acknowledged before it is durable."""
