"""Database drivers under what happens to connections on Lambda: measured, and written to docs/drivers.md."""
