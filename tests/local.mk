# What tests/ builds and what tests it.
