/* A plugin for qemu-user that counts the instructions executed in one function and another that it calls, exactly:
 *
 *   qemu-aarch64 -plugin ./count_plugin.so,symbol=NAME,also=NAME[,trace=FILE] -d plugin PROGRAM
 *
 * says "NAME COUNT" at the end, with the first name; FILE gets their addresses, one a line, in hexadecimal. With the
 * first name empty, all instructions of the program are counted. Debian's qemu takes plugins but comes without their
 * header: what is used of interface version 1 (qemu-plugin.h of QEMU 4.2 and later) is declared here. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef uint64_t plugin_id;

extern void qemu_plugin_register_vcpu_tb_trans_cb(
	plugin_id id, void (*fn)(plugin_id id, struct qemu_plugin_tb *tb));
extern void qemu_plugin_register_atexit_cb(
	plugin_id id, void (*fn)(plugin_id id, void *arg), void *arg);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
extern const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *insn);
extern void qemu_plugin_register_vcpu_insn_exec_inline(
	struct qemu_plugin_insn *insn, int op, void *counter, uint64_t add);
extern void qemu_plugin_register_vcpu_insn_exec_cb(
	struct qemu_plugin_insn *insn, void (*fn)(unsigned vcpu, void *arg), int flags, void *arg);
extern void qemu_plugin_outs(const char *text);

enum { INLINE_ADD = 0, NO_REGISTERS = 0 };

extern int qemu_plugin_version;
int qemu_plugin_version = 1;
int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);

static char symbol[128], also[128];
static uint64_t count;
static FILE *trace;

static void
on_executed(unsigned vcpu, void *address)
{
	(void)vcpu;
	fprintf(trace, "%" PRIxPTR "\n", (uintptr_t)address);
}

static bool
is_counted(const struct qemu_plugin_insn *insn)
{
	const char *name;

	if (symbol[0] == '\0')
		return true;
	name = qemu_plugin_insn_symbol(insn);
	return name != NULL && (strcmp(name, symbol) == 0 || strcmp(name, also) == 0);
}

/* Each instruction that is counted is made, when it is translated, to count itself. */
static void
on_translate(plugin_id id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		if (!is_counted(insn))
			continue;
		qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD, &count, 1);
		if (trace != NULL)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_executed, NO_REGISTERS,
				(void *)(uintptr_t)qemu_plugin_insn_vaddr(insn));
	}
}

static void
on_exit_of_program(plugin_id id, void *arg)
{
	char line[192];

	(void)id;
	(void)arg;
	snprintf(line, sizeof line, "%s %" PRIu64 "\n", symbol, count);
	qemu_plugin_outs(line);
	if (trace != NULL)
		fclose(trace);
}

int
qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
	(void)info;
	if (argc < 2 || argc > 3 || strncmp(argv[0], "symbol=", 7) != 0 ||
		strncmp(argv[1], "also=", 5) != 0)
		return -1;
	if (argc == 3 &&
		(strncmp(argv[2], "trace=", 6) != 0 || (trace = fopen(argv[2] + 6, "w")) == NULL))
		return -1;
	snprintf(symbol, sizeof symbol, "%s", argv[0] + 7);
	snprintf(also, sizeof also, "%s", argv[1] + 5);
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	qemu_plugin_register_atexit_cb(id, on_exit_of_program, NULL);
	return 0;
}
