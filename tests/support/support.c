// SPDX-License-Identifier: MIT
#include "support/support.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *env_or(const char *name, const char *fallback)
{
	const char *v = getenv(name);

	return v && *v ? v : fallback;
}

static const char *in_folder(char *buf, size_t size, const char *folder, const char *rel)
{
	snprintf(buf, size, "%s/%s", folder, rel);
	return buf;
}

const char *shared_path(const char *rel)
{
	static char path[8][4096];
	static unsigned int turn;
	char *p = path[turn++ % 8];

	in_folder(p, sizeof(path[0]), env_or("HAILO_SHARED", "../shared"), rel);
	if (access(p, R_OK) == 0)
		return p;
	if (strcmp(env_or("CI", ""), "true") == 0)
		fail_msg("%s is missing, and this is CI", p);
	print_message("skipped: %s is not here (set HAILO_SHARED)\n", p);
	skip();
	return NULL;
}

const char *out_path(const char *rel)
{
	static char path[8][4096];
	static unsigned int turn;

	return in_folder(path[turn++ % 8], sizeof(path[0]), env_or("OUT", "out"), rel);
}

const char *top_path(const char *rel)
{
	static char path[8][4096];
	static unsigned int turn;

	return in_folder(path[turn++ % 8], sizeof(path[0]), env_or("TOP", "."), rel);
}

static char tmp[64];

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	(void)flag;
	(void)f;
	return remove(path);
}

static void remove_tmp(void)
{
	nftw(tmp, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *tmp_dir(void)
{
	if (!tmp[0]) {
		snprintf(tmp, sizeof(tmp), "/tmp/hailo-test-XXXXXX");
		if (!mkdtemp(tmp))
			fail_msg("mkdtemp: %m");
		atexit(remove_tmp);
	}
	return tmp;
}

uint8_t *slurp(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	struct buf b = {0};
	char piece[65536];
	size_t n;

	if (!f)
		fail_msg("%s: %m", path);
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_put(&b, piece, n);
	fclose(f);
	buf_u8(&b, 0);
	if (b.failed)
		fail_msg("%s: no memory", path);
	if (len)
		*len = b.len - 1;
	return b.ptr;
}

void spit(const char *path, const void *data, size_t len)
{
	FILE *f = fopen(path, "wb");

	if (!f || fwrite(data, 1, len, f) != len || fclose(f))
		fail_msg("%s: %m", path);
}

uint8_t *unhex(const char *hex, size_t *len)
{
	size_t n = strlen(hex) / 2;
	uint8_t *out = malloc(n + 1);

	assert_non_null(out);
	for (size_t i = 0; i < n; i++) {
		unsigned int v;

		if (sscanf(hex + 2 * i, "%2x", &v) != 1)
			fail_msg("not hex at %zu", 2 * i);
		out[i] = (uint8_t)v;
	}
	*len = n;
	return out;
}

cJSON *read_jsonl(const char *path)
{
	char *text = (char *)slurp(path, NULL), *save = NULL;
	cJSON *all = cJSON_CreateArray();

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		cJSON *v = cJSON_Parse(line);

		if (!v)
			fail_msg("%s: a line is not JSON", path);
		cJSON_AddItemToArray(all, v);
	}
	free(text);
	return all;
}

static void hex_around(const uint8_t *p, size_t len, size_t at, char *out, size_t size)
{
	size_t from = at > 8 ? at - 8 : 0, n = 0;

	out[0] = 0;
	for (size_t i = from; i < len && i < at + 8 && n + 4 < size; i++)
		n += (size_t)snprintf(out + n, size - n, i == at ? "[%02x]" : "%02x ", p[i]);
}

void assert_bytes_equal(const void *got, size_t got_len, const void *want, size_t want_len,
			const char *what)
{
	const uint8_t *g = got, *w = want;
	size_t i = 0;
	char a[128], b[128];

	while (i < got_len && i < want_len && g[i] == w[i])
		i++;
	if (i == got_len && i == want_len)
		return;
	hex_around(g, got_len, i, a, sizeof(a));
	hex_around(w, want_len, i, b, sizeof(b));
	fail_msg("%s: differs at byte %zu (%zu bytes, want %zu): got %s want %s", what, i, got_len,
		 want_len, a, b);
}

void assert_words(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("'%s' is not said in: %s", words, text);
}
