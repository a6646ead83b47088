"""The real Kafka and the real ClickHouse as supervised child processes on this machine, for `up`, the demo and the tests."""
