"""GPUs: invocations of a workgroup, and the schedules for them."""
