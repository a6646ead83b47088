"""What starts, connects and operates Barometer: command line, wiring, local engines, demo, documentation."""
