"""The demonstration: a seeded month of a shop chain, its files, its live day, and what must come out of it."""
