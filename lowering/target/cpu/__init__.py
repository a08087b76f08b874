"""The CPU: vectors, and the schedules for them."""
