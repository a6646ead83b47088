"""The edge out: topics -> ClickHouse, each row once; and the gate that lets old events in."""
