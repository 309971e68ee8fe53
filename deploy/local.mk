# What deploy/ builds and what tests it.
