# man/: the manual.
dist_man_MANS += man/shoal.1 man/shoald.8 man/shoald.conf.5 man/shoal-plan.7 man/shoal-protocol.7
