# What man/ builds and what tests it.
