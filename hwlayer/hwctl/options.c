// SPDX-License-Identifier: MIT
/* What a command takes beside the options of every command. */
#include "hwctl/hwctl.h"

#include <stdlib.h>
#include <string.h>

long number_option(const char *name, const char *text, long min, long max)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(text, &end, 10);
	if (errno || end == text || *end || v < min || v > max) {
		usage_error("%s wants a number from %ld to %ld, not '%s'", name, min, max, text);
		return -1;
	}
	return v;
}

/* Everything up to the next option: a shell's *.json comes as many words. */
static void take_words(const struct own_option *o, int argc, char **argv, int *i)
{
	*o->words = argv + *i + 1;
	*o->n_words = 0;
	while (*i + 1 < argc && argv[*i + 1][0] != '-') {
		++*i;
		++*o->n_words;
	}
}

static int take_option(const struct own_option *o, int argc, char **argv, int *i)
{
	if (o->flag) {
		*o->flag = true;
		return EXIT_OK;
	}
	if (o->words) {
		take_words(o, argc, argv, i);
		return EXIT_OK;
	}
	if (*i + 1 == argc)
		return usage_error("%s wants a value", o->name);
	++*i;
	if (o->text) {
		*o->text = argv[*i];
		return EXIT_OK;
	}
	*o->number = number_option(o->name, argv[*i], o->min, o->max);
	return *o->number < 0 ? EXIT_USAGE : EXIT_OK;
}

int read_options(const char *command, int argc, char **argv, const struct own_option *known,
		 const char **operand)
{
	for (int i = 1; i < argc; i++) {
		const struct own_option *o = known;
		int r;

		while (o->name && strcmp(argv[i], o->name))
			o++;
		if (!o->name) {
			if (argv[i][0] == '-' || !operand || *operand)
				return usage_error("%s does not know '%s'", command, argv[i]);
			*operand = argv[i];
			continue;
		}
		r = take_option(o, argc, argv, &i);
		if (r != EXIT_OK)
			return r;
	}
	return EXIT_OK;
}
