"""Reading and building graph ops: builders, fusions, constant expressions and their values, arithmetic on tiles."""
