# What client/ builds and what tests it.
