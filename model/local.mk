# What model/ builds and what tests it.
