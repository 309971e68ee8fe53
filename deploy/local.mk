# deploy/: quickstart and check, the systemd unit, the shipped configuration.
systemdunit_DATA = deploy/shoald.service
systemdunitdir = $(systemdsystemunitdir)
sysusersdir = $(prefix)/lib/sysusers.d
dist_sysusers_DATA = deploy/shoal.conf
# An example, not the file in force: an installation never touches what its owner wrote.
dist_doc_DATA = deploy/shoald.conf

deploy/shoald.service: $(srcdir)/deploy/shoald.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) deploy && sed 's|@sbindir[@]|$(sbindir)|' $(srcdir)/deploy/shoald.service.in >$@
CLEANFILES += deploy/shoald.service
EXTRA_DIST += deploy/check deploy/lib.sh deploy/quickstart deploy/shoald.service.in
