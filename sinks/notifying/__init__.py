"""Tell alarms to people and their tools: Alertmanager, a signed webhook, e-mail; each receiver by itself."""
