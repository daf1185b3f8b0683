// SPDX-License-Identifier: MIT
/* hwctl hef parse: the vendor's listing, and what it does not show. */
#include "hwctl/hwctl.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hef/listing.h"

struct arguments {
	const char *path;
	bool streams, no_vstreams;
};

static int parse(int argc, char **argv, struct arguments *a)
{
	const struct own_option known[] = {
		{"--streams", .flag = &a->streams},
		{"--no-vstreams", .flag = &a->no_vstreams},
		{0},
	};
	int r = read_options("hef parse", argc, argv, known, &a->path);

	if (r != EXIT_OK)
		return r;
	return a->path ? EXIT_OK : usage_error("hef parse wants a FILE or a directory");
}

/* report() with the vendor's number for the same refusal beside our errno. */
static int refuse(const struct options *opt, const char *path, int code, int status,
		  const struct hw_error *err)
{
	struct options quiet = *opt;

	if (opt->json) {
		cJSON *o = cJSON_CreateObject();

		cJSON_AddStringToObject(o, "error", err->text);
		cJSON_AddNumberToObject(o, "errno", -code);
		cJSON_AddNumberToObject(o, "hef_status", status);
		cJSON_AddStringToObject(o, "file", path);
		print_json(o);
	}
	quiet.json = false;
	return report(&quiet, code, err);
}

/* ----------------------------------------------------------------------------- verbose text */

/* A scalar, or a list of numbers: 2x100x9. */
static void print_value(const cJSON *v)
{
	const cJSON *item;
	bool first = true;

	if (cJSON_IsString(v)) {
		fputs(v->valuestring, stdout);
	} else if (cJSON_IsNumber(v)) {
		printf(v->valuedouble == floor(v->valuedouble) ? "%.0f" : "%.9g", v->valuedouble);
	} else if (cJSON_IsArray(v)) {
		cJSON_ArrayForEach(item, v) {
			fputs(first ? "" : "x", stdout);
			print_value(item);
			first = false;
		}
	} else {
		fputs(cJSON_IsTrue(v) ? "yes" : cJSON_IsFalse(v) ? "no" : "any", stdout);
	}
}

static bool is_tree(const cJSON *v)
{
	return cJSON_IsObject(v) || (cJSON_IsArray(v) && !cJSON_IsNumber(v->child));
}

/* An object on one line, "key value, key value", and below it what has members of its own. */
static void print_tree(const cJSON *o, int indent)
{
	const cJSON *v, *item;
	bool first = true;

	printf("%*s", 4 * indent, "");
	cJSON_ArrayForEach(v, o) {
		if (is_tree(v))
			continue;
		printf("%s%s ", first ? "" : ", ", v->string);
		print_value(v);
		first = false;
	}
	putchar('\n');
	cJSON_ArrayForEach(v, o) {
		if (!is_tree(v) || !v->child)
			continue;
		printf("%*s%s:\n", 4 * (indent + 1), "", v->string);
		if (cJSON_IsObject(v)) {
			print_tree(v, indent + 2);
			continue;
		}
		cJSON_ArrayForEach(item, v) {
			if (cJSON_IsObject(item))
				print_tree(item, indent + 2);
			else
				printf("%*s%s\n", 4 * (indent + 2), "", item->valuestring);
		}
	}
}

/* What the listing above it does not say. */
static void print_details(cJSON *json)
{
	cJSON *groups = cJSON_GetObjectItemCaseSensitive(json, "groups"), *g;

	cJSON_ArrayForEach(g, groups)
		cJSON_DeleteItemFromObjectCaseSensitive(g, "networks");
	print_tree(json, 0);
}

/* --------------------------------------------------------------------------------- one file */

static int parse_file(const struct options *opt, const struct arguments *a, const char *path,
		      bool directory, cJSON *files)
{
	enum hef_status status = HEF_OK;
	struct hw_error err = {0};
	struct buf text = {0};
	cJSON *json = NULL;
	struct hef *hef = NULL;
	struct ticker *tick;
	int r, number;

	tick = directory ? NULL : ticker_start(opt, "parsing");
	r = hef_open(path, &hef, &status, &err);
	if (r == 0)
		r = hef_listing(hef, a->streams, !a->no_vstreams, &text, &status, &err);
	number = (int)status;
	if (r == 0 && (opt->json || opt->verbose)) {
		json = hef_json(hef, opt->verbose, &number, &err);
		r = json ? 0 : err.code;
	}
	ticker_stop(tick);
	if (r < 0) {
		/* As the vendor's: of a file that fails nothing is listed. */
		r = refuse(opt, path, r, number, &err);
	} else if (opt->json) {
		cJSON_AddItemToObject(json, "file", cJSON_CreateString(path));
		cJSON_AddItemToArray(files, json);
		json = NULL;
	} else {
		fwrite(text.ptr, 1, text.len, stdout);
		if (opt->verbose)
			print_details(json);
	}
	cJSON_Delete(json);
	buf_free(&text);
	hef_free(hef);
	return r;
}

static void print_files(cJSON *files, bool directory)
{
	if (directory) {
		cJSON *o = cJSON_CreateObject();

		cJSON_AddItemToObject(o, "files", files);
		print_json(o);
	} else {
		print_json(cJSON_DetachItemFromArray(files, 0));
		cJSON_Delete(files);
	}
}

static bool is_wanted(DIR *dir, const char *name)
{
	size_t len = strlen(name);
	struct stat st;

	return len >= 4 && !strcmp(name + len - 4, ".hef") &&
	       !fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode);
}

static size_t count_wanted(DIR *dir)
{
	struct dirent *e;
	size_t n = 0;

	while ((e = readdir(dir)))
		n += is_wanted(dir, e->d_name);
	rewinddir(dir);
	return n;
}

/* hef-format 8.1: regular files directly inside, in the directory's own order; the first failure ends */
static int parse_directory(const struct options *opt, const struct arguments *a, cJSON *files)
{
	DIR *dir = opendir(a->path);
	struct hw_error err;
	struct progress progress;
	size_t found = 0, total;
	int r = EXIT_OK;
	struct dirent *e;

	if (!dir)
		return refuse(opt, a->path, hw_fail(&err, -errno, "%s: %s", a->path, strerror(errno)),
			      HEF_OPEN_FILE_FAILURE, &err);
	total = count_wanted(dir);
	progress_start(&progress, opt);
	/* Text that goes by on the terminal is progress enough. */
	progress.on = progress.on && (opt->json || !isatty(STDOUT_FILENO));
	while (r == EXIT_OK && (e = readdir(dir))) {
		char *path;

		if (!is_wanted(dir, e->d_name))
			continue;
		if (asprintf(&path, "%s/%s", a->path, e->d_name) < 0) {
			r = report(opt, hw_fail(&err, -ENOMEM, "no memory for a name"), &err);
			break;
		}
		progress_show(&progress, "files", found++, total);
		if (!opt->json)
			printf("%.80s\nParsing %s:\n",
			       "****************************************"
			       "****************************************",
			       path);
		r = parse_file(opt, a, path, true, files);
		free(path);
	}
	closedir(dir);
	progress_end(&progress);
	if (!found)
		r = refuse(opt, a->path, hw_fail(&err, -EINVAL, "%s holds no file that ends in .hef", a->path),
			   HEF_INVALID_ARGUMENT, &err);
	return r;
}

int cmd_hef_parse(const struct options *opt, int argc, char **argv)
{
	struct arguments a = {0};
	struct stat st;
	bool directory;
	cJSON *files;
	int r = parse(argc, argv, &a);

	if (r != EXIT_OK)
		return r;
	files = cJSON_CreateArray();
	directory = stat(a.path, &st) == 0 && S_ISDIR(st.st_mode);
	r = directory ? parse_directory(opt, &a, files) : parse_file(opt, &a, a.path, false, files);
	if (r == EXIT_OK && opt->json)
		print_files(files, directory);
	else
		cJSON_Delete(files);
	return r;
}
