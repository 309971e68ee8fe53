# sched/: decisions, as pure functions.
noinst_LIBRARIES += sched/libsched.a
sched_libsched_a_SOURCES = sched/batch.c sched/batch.h
