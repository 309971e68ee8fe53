# sched/: decisions, as pure functions.
noinst_LIBRARIES += sched/libsched.a
sched_libsched_a_SOURCES = sched/batch.c sched/batch.h \
	sched/experts.c sched/experts.h sched/fair.c sched/fair.h sched/window.c sched/window.h

if HAVE_CHECK
check_PROGRAMS += tests/unit/test_batch tests/unit/test_fair
tests_unit_test_fair_SOURCES = tests/unit/test_fair.c
tests_unit_test_fair_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_test_fair_LDADD = sched/libsched.a $(CHECK_LIBS) -lm -lpthread
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
endif
