"""What the statistics promise, tried out on seeded worlds whose truth is known."""
