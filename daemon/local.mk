# What daemon/ builds and what tests it.
