// SPDX-License-Identifier: MIT
/*
 * Whole runs on the software chip, recorded, against the recordings of the vendor's library for the
 * same file and settings: equal after the six named normalisers of trace/normalise.c and nothing
 * else.  What the recordings say about themselves (command, options) decides how we run.
 */
#include "support/support.h"

#include "infer/infer.h"
#include "trace/trace.h"

#include <dirent.h>
#include <unistd.h>

#define QUEUE_DEPTH 32 /* of the recorded build */
#define FRAMES_MAX 8
#define HEFS_MAX 2
#define TESTS_MAX 200

struct run {
	const char *name; /* NAME.RUN, in golden/ */
	cJSON *golden;
	cJSON *meta;
	bool lite;	/* Hailo-8L */
	bool scheduler; /* of the vendor's library: networks take turns, one alone is started the same way */
	bool latency;
	unsigned int frames, batch;
	uint32_t max_page; /* what the recorded driver reported */
	unsigned int n_hefs;
	char hef[HEFS_MAX][256];
	const char *consts;
	uint32_t layout;
	const char *faults; /* of our chip, where the recorded one had some */
};

static void add_hef(struct run *run, const char *file, int len)
{
	char path[200];

	assert_true(run->n_hefs < HEFS_MAX);
	snprintf(path, sizeof(path), "data/hef/%.*s", len, file);
	snprintf(run->hef[run->n_hefs++], sizeof(run->hef[0]), "%s", shared_path(path));
}

/* Of two networks the files are in the command; of one it is called as the run. */
static void find_hefs(struct run *run, const char *command)
{
	const char *dot = strrchr(run->name, '.'), *base = strchr(run->name, '/');
	char file[100];

	if (strchr(run->name, '+')) {
		for (const char *at = command; (at = strstr(at, ".hef")); at++) {
			const char *from = at;

			while (from > command && from[-1] != ' ')
				from--;
			add_hef(run, from, (int)(at + strlen(".hef") - from));
		}
		return;
	}
	base = base ? base + 1 : run->name;
	snprintf(file, sizeof(file), "%.*s.hef", (int)(dot - base), base);
	add_hef(run, file, (int)strlen(file));
}

/* As hwctl trace diff reads it: all digits count. */
static cJSON *read_golden(const char *path)
{
	struct hw_error err = {0};
	cJSON *lines;

	assert_ok(trace_read(shared_path(path), &lines, &err), &err);
	return lines;
}

static void open_run(struct run *run, const char *name)
{
	const cJSON *line, *options;
	const char *command, *option;
	char path[200];

	*run = (struct run){.name = name, .frames = 1, .batch = 1};
	snprintf(path, sizeof(path), "golden/%s.jsonl", name);
	run->golden = read_jsonl(shared_path(path));
	run->meta = cJSON_DetachItemFromArray(run->golden, 0);
	cJSON_Delete(run->golden);
	run->golden = read_golden(path);
	run->lite = !strcmp(trace_text(run->meta, "architecture"), "HAILO8L");
	command = trace_text(run->meta, "command");
	if (sscanf(command, "ainfer %u %u", &run->frames, &run->batch) == 2)
		run->scheduler = true;
	find_hefs(run, command);
	run->latency = strstr(command, "--measure-latency") != NULL;
	option = strstr(command, "--frames-count ");
	if (option)
		run->frames = (unsigned int)atoi(option + strlen("--frames-count "));
	/* "no batch size given": the lines are another run's */
	if (*trace_text(run->meta, "same_as"))
		run->batch = 0;
	option = strstr(command, "--batch-size ");
	if (option)
		run->batch = (unsigned int)atoi(option + strlen("--batch-size "));
	assert_true(run->frames && run->frames <= FRAMES_MAX);
	options = cJSON_GetObjectItem(run->meta, "options");
	if (*trace_text(options, "ORACLE_HWCONSTS"))
		run->consts = trace_text(options, "ORACLE_HWCONSTS");
	run->layout = trace_uint(options, "ORACLE_LAYOUT");
	cJSON_ArrayForEach(line, run->golden)
	{
		if (trace_is(line, "query_device_properties"))
			run->max_page = trace_uint(line, "max_page");
	}
}

static void close_run(struct run *run)
{
	cJSON_Delete(run->golden);
	cJSON_Delete(run->meta);
}

/* golden/README 4.1, u8; the command-line tool repeats frame 0. */
static void generate(uint8_t *out, size_t n, uint32_t frame)
{
	for (uint32_t i = 0; i < n; i++)
		out[i] = (uint8_t)(i * 167 + (i >> 8) * 59 + frame * 31 + 7);
}

static void infer_frames(struct hw_net *net, const struct run *run, unsigned int from, unsigned int n)
{
	struct hw_error err = {0};
	size_t n_in, n_out;
	const struct hw_tensor_info *in = hw_net_inputs(net, &n_in),
				    *out = hw_net_outputs(net, &n_out);
	const void *inputs[8];
	void *outputs[8], *all[16];

	assert_true(n_in <= 8 && n_out <= 8);
	for (size_t i = 0; i < n_in; i++)
		inputs[i] = all[i] = malloc(in[i].frame_bytes);
	for (size_t i = 0; i < n_out; i++)
		outputs[i] = all[8 + i] = malloc(out[i].frame_bytes);
	for (unsigned int f = from; f < from + n; f++) {
		for (size_t i = 0; i < n_in; i++)
			generate(all[i], in[i].frame_bytes, run->scheduler ? f : 0);
		assert_ok(hw_net_run(net, inputs, outputs, 0, &err), &err);
	}
	for (size_t i = 0; i < n_in; i++)
		free(all[i]);
	for (size_t i = 0; i < n_out; i++)
		free(all[8 + i]);
}

/* One network runs its frames; of several each runs a batch, then the next one does. */
static void infer_all(struct hw_net *const *nets, const struct run *run)
{
	unsigned int step = run->n_hefs > 1 ? run->batch : run->frames;

	for (unsigned int f = 0; f < run->frames; f += step) {
		for (unsigned int i = 0; i < run->n_hefs; i++)
			infer_frames(nets[i], run, f, step);
	}
}

/* Our run of it, recorded to @record; what loading returned. */
static int do_run(const struct run *run, const char *record)
{
	struct hw_dev_options o = {
	    .device = run->lite ? "mock:8l" : "mock:8",
	    .mock_hw_consts = run->consts,
	    .mock_layout = run->layout,
	    .mock_max_page = run->max_page <= 4096 ? run->max_page : 0,
	    .mock_faults = run->faults,
	    .record = record,
	};
	struct hw_net_options n = {
	    .batch = run->batch,
	    .queue_depth = QUEUE_DEPTH,
	    .take_turns = run->scheduler,
	    .measure_latency = run->latency,
	};
	struct hw_error err = {0};
	struct hw_net *nets[HEFS_MAX] = {0};
	struct hw_dev *dev;
	int r;

	r = hw_dev_open(&o, &dev, &err);
	if (r < 0) {
		assert_true(err.text[0]);
		return r;
	}
	/* The recorded driver claimed what no backend of ours can report. */
	if (run->max_page > 4096)
		dev->chip.max_desc_page = run->max_page;
	for (unsigned int i = 0; r == 0 && i < run->n_hefs; i++)
		r = hw_net_load(dev, run->hef[i], &n, &nets[i], &err);
	if (r == 0)
		infer_all(nets, run);
	else
		assert_true(err.text[0]);
	for (unsigned int i = 0; i < run->n_hefs; i++)
		hw_net_free(nets[i]);
	hw_dev_close(dev);
	return r;
}

static int record(const struct run *run, cJSON **ours)
{
	struct hw_error err = {0};
	char path[300];
	int r;

	snprintf(path, sizeof(path), "%s/ours.jsonl", tmp_dir());
	r = do_run(run, path);
	assert_ok(trace_read(path, ours, &err), &err);
	return r;
}

static void assert_same(const cJSON *ours, const cJSON *golden)
{
	struct trace_difference d;
	int r = trace_compare(ours, golden, &d);

	assert_true(r >= 0);
	if (r)
		fail_msg("%s: %s, golden has %s", d.where, d.a, d.b);
}

/* The recording names the first one. */
static void assert_same_file(const cJSON *ours, const struct run *run)
{
	const cJSON *line;
	unsigned int n = 0;

	cJSON_ArrayForEach(line, ours)
	{
		if (!trace_is(line, "network") || n++)
			continue;
		assert_string_equal(trace_text(line, "hef_sha256"), trace_text(run->meta, "hef_sha256"));
	}
	assert_int_equal(n, run->n_hefs);
}

struct refusal {
	const char *name;
	int code;
	const char *faults;
};

#define FAULTS "faults/mnist_cnn.hailo8.v0."

static const struct refusal refusals[] = {
	{"mnist_cnn.hailo8.v0.on8l", -ENOTSUP, NULL},
	{"fsq_m13_imu.hailo8.v2.on8l", -ENOTSUP, NULL},
	{"hand_landmark_lite.hailo8.v2.on8l", -ENOTSUP, NULL},
	{"scrfd_2.5g.hailo15h.v3.refused", -ENOTSUP, NULL},
	{"model_3x640x640.hailo8l.v1.layout1", -ENOTSUP, NULL},
	{"mnist_cnn.hailo8.v0.page16384", -EINVAL, NULL},
	/* Our chip counts controls; each of these is the first of its kind. */
	{FAULTS "fail-op0", -EIO, "control-error=1:0x40130006"},
	{FAULTS "fail-op33", -EIO, "control-error=2:0x40130006"},
	{FAULTS "fail-op25", -EIO, "control-error=3:0x40130006"},
	{FAULTS "fail-op47", -EIO, "control-error=4:0x40130006"},
	{FAULTS "fail-op48", -EIO, "control-error=5:0x40130006"},
	{FAULTS "fail-op20", -EIO, "control-error=6:0x40130006"},
	{FAULTS "fail-op21", -EIO, "control-error=7:0x40130006"},
	{FAULTS "mute-op0", -ETIMEDOUT, "control-silent=0"},
	{FAULTS "mute-op25", -ETIMEDOUT, "control-silent=37"},
	{FAULTS "mute-op21", -ETIMEDOUT, "control-silent=33"},
};

/* What this run must end with, or NULL: it must work. */
static const struct refusal *expected(const struct run *run)
{
	if (trace_number(run->meta, "exit_code") == 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		if (!strcmp(refusals[i].name, run->name))
			return &refusals[i];
	}
	fail_msg("%s: the vendor's library refused; which error is ours?", run->name);
	return NULL;
}

static void recording(void **state)
{
	const struct refusal *refused;
	struct run run;
	cJSON *ours;

	open_run(&run, *state);
	refused = expected(&run);
	run.faults = refused ? refused->faults : NULL;
	assert_int_equal(record(&run, &ours), refused ? refused->code : 0);
	assert_same(ours, run.golden);
	if (!refused)
		assert_same_file(ours, &run);
	cJSON_Delete(ours);
	close_run(&run);
}

/* hailortcli fw-control identify --extended: what "hwctl info" asks. */
static void identify(void **state)
{
	const char *name = *state;
	struct hw_dev_options o = {.device = strstr(name, ".hailo8l") ? "mock:8l" : "mock:8"};
	struct hw_error err = {0};
	struct hw_dev_info info;
	struct hw_dev *dev;
	cJSON *ours, *golden;
	char path[200];

	snprintf(path, sizeof(path), "golden/%s.jsonl", name);
	golden = read_golden(path);
	snprintf(path, sizeof(path), "%s/identify.jsonl", tmp_dir());
	o.record = path;
	assert_ok(hw_dev_open(&o, &dev, &err), &err);
	assert_ok(hw_dev_query_info(dev, &info, &err), &err);
	hw_dev_close(dev);
	assert_ok(trace_read(path, &ours, &err), &err);
	assert_same(ours, golden);
	cJSON_Delete(ours);
	cJSON_Delete(golden);
}

static void replay(const char *name, const char *faults, struct trace_replayed *out)
{
	struct hw_error err = {0};
	struct chip chip = {0};
	struct backend *be;
	char path[200];
	cJSON *lines;
	bool lite;

	snprintf(path, sizeof(path), "golden/%s.jsonl", name);
	lines = read_jsonl(shared_path(path));
	lite = !strcmp(trace_text(lines->child, "architecture"), "HAILO8L");
	assert_ok(backend_open(&(struct hw_dev_options){.device = lite ? "mock:8l" : "mock:8",
							.mock_faults = faults},
			       &be, &err),
		  &err);
	assert_ok(chip_init(&chip, be, NULL, &err), &err);
	assert_ok(trace_replay(lines, &chip, out, &err), &err);
	assert_int_equal(backend_mock_dma_bytes(be), 0);
	chip_shutdown(&chip);
	backend_close(be);
	cJSON_Delete(lines);
}

/* The vendor's own half of the traffic, played to our chip. */
static void replayed(void **state)
{
	static const struct {
		const char *name;
		unsigned int controls, transfers;
	} rows[] = {
		{"mnist_cnn.hailo8.v0.batch8", 26, 16},
		{"fsq_m13_imu.hailo8.v2.async1", 18, 6},
		{"hand_landmark_lite.hailo8.v2.latency", 26, 15},
		{"model_3x640x640.hailo8l.v1.page256", 27, 6},
		{"mnist_cnn+fsq_m13_imu.async1", 34, 12},
	};
	struct trace_replayed done;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		replay(rows[i].name, NULL, &done);
		if (*done.difference || done.controls != rows[i].controls ||
		    done.transfers != rows[i].transfers)
			fail_msg("%s: %u controls, %u transfers: %s", rows[i].name, done.controls,
				 done.transfers, done.difference);
	}
	replay("mnist_cnn.hailo8.v0.batch1", "control-error=8:0x40130006", &done);
	assert_non_null(strstr(done.difference, "status 0x40130006, recorded 0x0"));
	replay("faults/mnist_cnn.hailo8.v0.mute-op21", NULL, &done);
	assert_non_null(strstr(done.difference, "SET_CONTEXT_INFO): an answer, recorded Connection timed out"));
	replay("mnist_cnn.hailo8.v0.batch1", "channel-stuck=16", &done);
	assert_non_null(strstr(done.difference, "did not finish"));
}

/* Those that the table of refusals names were found, so the others were, too. */
static void all_there(void **state)
{
	char path[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		snprintf(path, sizeof(path), "golden/%s.jsonl", refusals[i].name);
		assert_int_equal(access(shared_path(path), R_OK), 0);
	}
}

/* Whatever is there is compared: one test for each file, called as the recording is. */
struct suite {
	struct CMUnitTest tests[TESTS_MAX];
	char names[TESTS_MAX][100];
	size_t n;
};

static int is_recording(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');

	return dot && !strcmp(dot, ".jsonl");
}

/* The files of golden/@folder, which may be "" or end in a slash. */
static void add_recordings(struct suite *s, const char *folder)
{
	const char *shared = getenv("HAILO_SHARED");
	struct dirent **files = NULL;
	char dir[300];
	int n;

	snprintf(dir, sizeof(dir), "%s/golden/%s", shared ? shared : "../shared", folder);
	n = scandir(dir, &files, is_recording, alphasort);
	for (int i = 0; i < n; i++) {
		struct CMUnitTest *t = &s->tests[s->n];
		char *name = s->names[s->n];
		const char *file = files[i]->d_name;

		if (s->n == TESTS_MAX || strlen(folder) + strlen(file) >= sizeof(s->names[0])) {
			fprintf(stderr, "%s: too many recordings, or too long a name\n", dir);
			exit(1);
		}
		snprintf(name, sizeof(s->names[0]), "%s%.*s", folder,
			 (int)(strlen(file) - strlen(".jsonl")), file);
		*t = (struct CMUnitTest){
		    .name = name,
		    .test_func = strncmp(file, "cli.identify.", 13) ? recording : identify,
		    .initial_state = name,
		};
		s->n++;
		free(files[i]);
	}
	free(files);
}

int main(void)
{
	static struct suite s;

	s.tests[s.n++] = (struct CMUnitTest)cmocka_unit_test(replayed);
	s.tests[s.n++] = (struct CMUnitTest)cmocka_unit_test(all_there);
	add_recordings(&s, "");
	add_recordings(&s, "faults/");
	return _cmocka_run_group_tests("recordings", s.tests, s.n, NULL, NULL);
}
