# What man/ builds and what tests it.
dist_man_MANS += man/shoald.8
