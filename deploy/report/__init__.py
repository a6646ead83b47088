"""The weekly report: findings, and pages and files that show them."""
