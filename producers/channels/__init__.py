"""One file per channel or format: pure functions from raw bytes to checked events."""
