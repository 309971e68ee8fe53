# What sched/ builds and what tests it.
