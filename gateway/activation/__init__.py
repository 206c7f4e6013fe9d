"""Which policy is in force: signed statements, the register that keeps them, and the bundle that a process follows."""
