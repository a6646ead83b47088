"""The statistics that alarms rest on: pure, each with its promise and its source. What they read is the rules' affair."""
