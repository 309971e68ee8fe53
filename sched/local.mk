# sched/: decisions, as pure functions.
noinst_LIBRARIES += sched/libsched.a
sched_libsched_a_SOURCES = sched/batch.c sched/batch.h \
	sched/experts.c sched/experts.h \
	sched/roster.c sched/roster.h \
	sched/window.c sched/window.h

if HAVE_CHECK
check_PROGRAMS += tests/unit/test_batch
tests_unit_test_batch_SOURCES = tests/unit/test_batch.c
tests_unit_test_batch_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_batch_LDADD = sched/libsched.a base/libbase.a $(CHECK_LIBS) -lm -lpthread

check_PROGRAMS += tests/unit/test_window tests/unit/test_experts
tests_unit_test_window_SOURCES = tests/unit/test_window.c
tests_unit_test_window_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_window_LDADD = sched/libsched.a base/libbase.a $(CHECK_LIBS) -lm -lpthread
tests_unit_test_experts_SOURCES = tests/unit/test_experts.c
tests_unit_test_experts_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_experts_LDADD = $(tests_unit_test_window_LDADD)

# Who takes part: rules one by one, and ten thousand stories in virtual time.
check_PROGRAMS += tests/unit/test_roster
tests_unit_test_roster_SOURCES = tests/unit/test_roster.c \
	tests/support/roster_sim.c tests/support/roster_sim.h
tests_unit_test_roster_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_roster_LDADD = $(tests_unit_test_window_LDADD)
endif
