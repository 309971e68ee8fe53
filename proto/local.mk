# What proto/ builds and what tests it.
