"""Who runs, who waits, who holds a lock; notes and alarms. Knows base."""
