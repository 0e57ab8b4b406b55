"""Many clients, several nodes, faults; and a check of what was answered against a sequential model."""
