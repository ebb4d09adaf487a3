"""What one link can carry, and who may use it: wire time, the budget, the order of runs, admission."""
