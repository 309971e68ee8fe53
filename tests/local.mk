# tests/: swarms of real daemons on this machine. Unit tests stand in their folders' local.mk.
if HAVE_CHECK
dist_check_SCRIPTS += \
	tests/hearth/corpus.sh \
	tests/hearth/eval.sh \
	tests/hearth/train.sh \
	tests/swarm/command.sh \
	tests/swarm/greedy.sh \
	tests/swarm/http.sh \
	tests/swarm/killed.sh \
	tests/swarm/leaks.sh \
	tests/swarm/payload.sh \
	tests/swarm/trust.sh \
	tests/swarm/warm.sh \
	tests/swarm/window.sh \
	tests/swarm/wire.sh
endif
EXTRA_DIST += tests/support/synth_model.py tests/swarm/lib.sh tests/swarm/proxy.py

# MODEL=FILE [BUDGETS="450M 250M"]: generation under memory budgets, beside the bound.
BUDGETS = 450M 250M
bench-window: client/shoal
	@test -n "$(MODEL)" || { echo 'say which model: make bench-window MODEL=FILE BUDGETS="450M 250M"' >&2; exit 2; }
	python3 $(srcdir)/tests/bench/window.py client/shoal "$(MODEL)" $(BUDGETS)
EXTRA_DIST += tests/bench/window.py
