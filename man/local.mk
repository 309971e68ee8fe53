# man/: the manual.
dist_man_MANS += man/shoal.1 man/shoald.8
