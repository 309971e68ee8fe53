# tests/: swarms of real daemons on this machine. Unit tests stand in their folders' local.mk.
if HAVE_CHECK
dist_check_SCRIPTS += \
	tests/faults/short.sh \
	tests/hearth/corpus.sh \
	tests/hearth/eval.sh \
	tests/swarm/balance.sh \
	tests/swarm/collective.sh \
	tests/hearth/train.sh \
	tests/swarm/command.sh \
	tests/swarm/copies.sh \
	tests/swarm/discovery.sh \
	tests/swarm/document.sh \
	tests/swarm/doctor.sh \
	tests/swarm/door.sh tests/swarm/energy.sh \
	tests/swarm/form.sh tests/swarm/logprobs.sh \
	tests/swarm/greedy.sh tests/swarm/guess.sh tests/swarm/hostile.sh \
	tests/swarm/http.sh \
	tests/swarm/chunks.sh \
	tests/swarm/choose.sh tests/swarm/killed.sh tests/swarm/spare.sh \
	tests/swarm/leaks.sh tests/swarm/elect.sh tests/swarm/gather.sh tests/swarm/leave.sh \
	tests/swarm/model_file.sh \
	tests/swarm/payload.sh \
	tests/swarm/peers.sh \
	tests/swarm/pipeline.sh \
	tests/swarm/sampling.sh \
	tests/swarm/plan.sh tests/swarm/prefix.sh \
	tests/swarm/restart.sh \
	tests/swarm/route.sh tests/swarm/sdk.sh tests/swarm/segments.sh \
	tests/swarm/token.sh tests/swarm/tools.sh \
	tests/swarm/trust.sh \
	tests/swarm/warm.sh \
	tests/swarm/window.sh \
	tests/swarm/wire.sh
noinst_PROGRAMS += tests/swarm/hostile
tests_swarm_hostile_SOURCES = tests/swarm/hostile.c
tests_swarm_hostile_CFLAGS = $(daemon_libdaemon_a_CFLAGS)
tests_swarm_hostile_LDADD = $(DAEMON_LIBS)
$(tests_swarm_hostile_OBJECTS): | proto/shoal.pb-c.h
# What tests/swarm/sdk.sh installs.
clean-local:
	rm -rf tests/sdk/clients
endif
EXTRA_DIST += tests/sdk/.npmrc tests/sdk/package.json tests/sdk/package-lock.json tests/sdk/ai.js tests/sdk/all.js \
	tests/sdk/auto.js tests/sdk/chat.js tests/sdk/clients.js tests/sdk/tools.js tests/sdk/trouble.js
EXTRA_DIST += tests/support/cloud_server.py tests/support/free_port.py tests/support/patience.h tests/support/synth_model.py tests/swarm/chat.py tests/swarm/keyed.py tests/swarm/lib.sh tests/swarm/proxy.py

# MODEL=FILE [BUDGETS="450M 250M"] [DISK=2G]: generation under memory budgets, beside the bound.
BUDGETS = 450M 250M
bench-window: client/shoal
	@test -n "$(MODEL)" || { echo 'say which model: make bench-window MODEL=FILE BUDGETS="450M 250M"' >&2; exit 2; }
	python3 $(srcdir)/tests/bench/window.py client/shoal "$(MODEL)" $(BUDGETS) $(if $(DISK),--disk $(DISK)) $(WINDOW_ARGS)
EXTRA_DIST += tests/bench/window.py

# A device at full speed with one held to PART of a core (cgroups, root), and a third that is left out.
PART = 0.4
bench-uneven: daemon/shoald
	python3 $(srcdir)/tests/bench/uneven.py --part $(PART) $(UNEVEN_ARGS) $(abs_top_builddir)
EXTRA_DIST += tests/bench/held.py tests/bench/turns.py tests/bench/uneven.py

# Two devices of a thread each beside one: on loopback, or [LAN=ROUND_TRIP_US:MBIT] (root, ../shared/tools/lan.sh).
LAN =
bench-pair: daemon/shoald
	python3 $(srcdir)/tests/bench/pair.py $(if $(LAN),--lan $(LAN)) $(PAIR_ARGS) $(abs_top_builddir)
EXTRA_DIST += tests/bench/pair.py

# What tokens that are guessed ahead bring, with a small model that drafts: on loopback, or [LAN=ROUND_TRIP_US:MBIT].
bench-guess: daemon/shoald
	python3 $(srcdir)/tests/bench/guess.py $(if $(LAN),--lan $(LAN)) $(GUESS_ARGS) $(abs_top_builddir)
EXTRA_DIST += tests/bench/guess.py

# What the plan chooses beside each alternative, e.g. CHOICE_ARGS='--lan 5000:100 --parts 1,1,0.4' (root).
bench-choice: daemon/shoald
	python3 $(srcdir)/tests/bench/choice.py $(CHOICE_ARGS) $(abs_top_builddir)
EXTRA_DIST += tests/bench/choice.py

# How long until a text goes on when one of three devices dies: KILLED_ARGS as tests/bench/killed.py says.
bench-killed: daemon/shoald
	python3 $(srcdir)/tests/bench/killed.py $(KILLED_ARGS) $(abs_top_builddir)
EXTRA_DIST += tests/bench/killed.py

# How much sooner a document is read with a member, on two idle cores: [SMALL=FILE] [HELD=PART of each device's time].
SMALL = $(srcdir)/models/hearth.gguf
HELD = 0
bench-document: daemon/shoald
	python3 $(srcdir)/tests/bench/document.py . $(SMALL) --held $(HELD)
EXTRA_DIST += tests/bench/document.py

# What a router learns from labels made at idle, beside true ones: [LABELS=300].
LABELS = 300
bench-labels: daemon/shoald client/shoal
	PYTHONDONTWRITEBYTECODE=1 python3 $(srcdir)/tests/bench/labels.py . --labels $(LABELS)
EXTRA_DIST += tests/bench/labels.py

# What one reduction costs on loopback: [REDUCTIONS=3000] [ROWS=1].
REDUCTIONS = 3000
ROWS = 1
EXTRA_PROGRAMS += tests/bench/collective
tests_bench_collective_SOURCES = tests/bench/collective.c tests/bench/plain_group.c tests/bench/plain_group.h \
	tests/support/star_group.c tests/support/star_group.h \
	tests/support/link_pair.c tests/support/link_pair.h
tests_bench_collective_CFLAGS = $(daemon_libdaemon_a_CFLAGS)
tests_bench_collective_LDADD = $(DAEMON_LIBS)
$(tests_bench_collective_OBJECTS): | proto/shoal.pb-c.h
bench-collective: tests/bench/collective
	tests/bench/collective $(REDUCTIONS) $(ROWS)
CLEANFILES += tests/bench/collective

# The router between the two models that come with Shoal, beside controls, and what a decision takes, on a Pi 4 too (counted
# under qemu): [TRACES=FOLDER] keeps what they answered.
TRACES =
EXTRA_PROGRAMS += tests/bench/route
tests_bench_route_SOURCES = tests/bench/route.c tests/bench/route_eval.c tests/bench/route_eval.h \
	tests/bench/route_traces.c tests/bench/route_traces.h \
	tests/support/route_curve.c tests/support/route_curve.h
tests_bench_route_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_bench_route_LDADD = sched/libsched.a model/libmodel.a base/libbase.a $(JANSSON_LIBS) -lm -lpthread
bench-route: tests/bench/route client/shoal
	$(srcdir)/tests/bench/route.sh . $(TRACES)
CLEANFILES += tests/bench/route
EXTRA_DIST += tests/bench/route.sh tests/bench/route_cost.sh tests/bench/route_decide.c

# The two models that come with Shoal writing together: [COMMANDS=1000] [PEERS=1].
COMMANDS = 1000
PEERS = 1
bench-token: daemon/shoald client/shoal
	python3 $(srcdir)/tests/bench/token_mode.py -n $(COMMANDS) --peers $(PEERS) .
EXTRA_DIST += tests/bench/token_mode.py

# The fault matrix: what a swarm does when its devices fail; TRIALS of each cell. And a long run with faults, by SEED.
TRIALS = 3
SECONDS = 120
SEED = 1
check-faults: daemon/shoald
	python3 $(srcdir)/tests/faults/matrix.py --trials $(TRIALS) $(abs_top_builddir)
soak: daemon/shoald
	python3 $(srcdir)/tests/faults/soak.py --seconds $(SECONDS) --seed $(SEED) $(abs_top_builddir)
EXTRA_DIST += tests/faults/client.py tests/faults/faults.py tests/faults/lab.py tests/faults/matrix.py \
	tests/faults/network.py tests/faults/phases.py tests/faults/soak.py
