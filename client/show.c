#include "client/show.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLE_COLUMNS 16

struct table {
	unsigned n_columns;
	bool left[TABLE_COLUMNS];
	unsigned width[TABLE_COLUMNS];
	char **cells; /* headings first */
	size_t n, cap;
};

/* Columns a text takes: characters, not bytes. */
static unsigned
text_width(const char *s)
{
	unsigned n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void
table_add(struct table *t, char *text)
{
	unsigned column = (unsigned)(t->n % t->n_columns);

	if (text == NULL)
		return;
	if (t->n == t->cap) {
		size_t cap = t->cap == 0 ? 64 : t->cap * 2;
		char **cells = realloc(t->cells, cap * sizeof *cells);

		if (cells == NULL) {
			free(text);
			return;
		}
		t->cells = cells;
		t->cap = cap;
	}
	if (text_width(text) > t->width[column])
		t->width[column] = text_width(text);
	t->cells[t->n++] = text;
}

struct table *
table_new(const char *const *headings)
{
	struct table *t = calloc(1, sizeof *t);

	if (t == NULL)
		return NULL;
	while (t->n_columns < TABLE_COLUMNS && headings[t->n_columns] != NULL) {
		t->left[t->n_columns] = headings[t->n_columns][0] == '<';
		t->n_columns++;
	}
	for (unsigned i = 0; i < t->n_columns; i++)
		table_add(t, strdup(headings[i] + t->left[i]));
	return t;
}

void
table_cell(struct table *t, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (t == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	table_add(t, strdup(text));
}

static void
table_text(const struct table *t, size_t i, bool last, FILE *out)
{
	unsigned column = (unsigned)(i % t->n_columns);
	int pad = (int)(t->width[column] - text_width(t->cells[i]));

	if (!t->left[column])
		fprintf(out, "%*s%s", pad, "", t->cells[i]);
	else
		fprintf(out, "%s%*s", t->cells[i], last ? 0 : pad, "");
}

void
table_print(const struct table *t, FILE *out)
{
	for (size_t i = 0; t != NULL && i < t->n; i++) {
		bool last = (i + 1) % t->n_columns == 0;
		bool heading = i < t->n_columns && out == stdout;

		fputs(heading ? colour_dim() : "", out);
		table_text(t, i, last, out);
		fputs(heading ? colour_off() : "", out);
		fputs(last ? "\n" : "  ", out);
	}
}

void
table_print_markdown(const struct table *t, FILE *out)
{
	for (size_t i = 0; t != NULL && i < t->n; i++) {
		fputs("| ", out);
		table_text(t, i, false, out);
		fputs((i + 1) % t->n_columns == 0 ? " |\n" : " ", out);
		if (i + 1 != t->n_columns)
			continue;
		for (unsigned c = 0; c < t->n_columns; c++) {
			fputs("| ", out);
			for (unsigned k = 0; k < t->width[c]; k++)
				fputc(!t->left[c] && k + 1 == t->width[c] ? ':' : '-', out);
			fputs(" ", out);
		}
		fputs("|\n", out);
	}
}

void
table_free(struct table *t)
{
	for (size_t i = 0; t != NULL && i < t->n; i++)
		free(t->cells[i]);
	if (t != NULL)
		free(t->cells);
	free(t);
}

static const char *
show_scaled(double v, const char *const *units, char out[24])
{
	while (v >= 999.5 && units[1] != NULL) {
		v /= 1000;
		units++;
	}
	snprintf(out, 24, "%.*f%s",
		v >= 99.5 || v == (double)(long)v ? 0
		: v >= 9.95                       ? 1
						  : 2,
		v, *units);
	return out;
}

const char *
show_bytes(uint64_t bytes, char out[24])
{
	static const char *const units[] = {" B", " kB", " MB", " GB", " TB", NULL};

	return show_scaled((double)bytes, units, out);
}

const char *
show_count(uint64_t count, char out[24])
{
	static const char *const units[] = {"", " K", " M", " B", " T", NULL};

	return show_scaled((double)count, units, out);
}

static bool
takes_escapes(int fd)
{
	const char *term = getenv("TERM");

	return isatty(fd) && term != NULL && strcmp(term, "dumb") != 0;
}

static const char *
colour(const char *escape)
{
	return takes_escapes(STDOUT_FILENO) && getenv("NO_COLOR") == NULL ? escape : "";
}

const char *
colour_bold(void)
{
	return colour("\033[1m");
}

const char *
colour_dim(void)
{
	return colour("\033[2m");
}

const char *
colour_off(void)
{
	return colour("\033[0m");
}

void
progress_begin(struct progress *p, const struct ctl *ctl, const char *what)
{
	*p = (struct progress){.ctl = ctl, .what = what};
	p->started = clock_seconds();
	p->terminal = takes_escapes(STDERR_FILENO);
}

static void
progress_bar(struct progress *p, double part, double left, const char *note)
{
	char bar[31], line[256];
	int n;

	for (int i = 0; i < 30; i++)
		bar[i] = i < (int)(part * 30) ? '#' : '.';
	bar[30] = '\0';
	n = snprintf(line, sizeof line, "\r\033[K%s [%s] %3.0f%%  %.0f s left  %s", p->what, bar,
		part * 100, left, note);
	if (n > 0)
		fwrite(line, 1, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1, stderr);
	fflush(stderr);
}

void
progress_set(struct progress *p, uint64_t done, uint64_t total, const char *note)
{
	double now = clock_seconds(), part = total == 0 ? 1 : (double)done / (double)total;
	double left = part > 0 ? (now - p->started) / part * (1 - part) : 0;

	/* Work that takes under a second shows nothing. */
	if (p->ctl->quiet || p->ctl->json || !p->terminal || now - p->started < 1 ||
		now - p->drawn < 0.1)
		return;
	p->drawn = now;
	p->any = true;
	progress_bar(p, part, left, note);
}

void
progress_end(struct progress *p)
{
	if (p->terminal && p->any)
		fputs("\r\033[K", stderr);
}

/* --- devices ------------------------------------------------------------------------------------- */

const char *
show_strain(const json_t *energy)
{
	const char *state = json_string_value(json_object_get(energy, "state"));

	if (state == NULL || strcmp(state, "fine") == 0)
		return "";
	return strcmp(state, "hot") == 0 ? ", hot" : ", battery low";
}
