// SPDX-License-Identifier: MIT
/*
 * The recorder on a small network: what it writes when things go well, when they do not, and when it
 * cannot write.  And by its means: how networks are counted on the chip (infer/apps.c).
 */
#include "support/journal.h"
#include "support/support.h"
#include "support/tinynet.h"

#include <unistd.h>

#include "infer/infer.h"
#include "trace/trace.h"

#define FRAME_MS 1000

static char record_path[300];

static struct hw_dev *open_recorded(const char *faults)
{
	struct hw_dev_options o = {.device = "mock", .mock_faults = faults, .record = record_path};
	struct hw_error err = {0};
	struct hw_dev *dev;

	snprintf(record_path, sizeof(record_path), "%s/r.jsonl", tmp_dir());
	assert_ok(hw_dev_open(&o, &dev, &err), &err);
	return dev;
}

static cJSON *recorded(void)
{
	struct hw_error err = {0};
	cJSON *lines;

	assert_ok(trace_read(record_path, &lines, &err), &err);
	return lines;
}

static int load(struct hw_dev *dev, struct hw_net **net, struct hw_error *err)
{
	size_t len;
	uint8_t *hef = tiny_hef("tiny", 1.0f, 3, &len);
	int r = hw_net_load_mem(dev, hef, len, NULL, net, err);

	free(hef);
	return r;
}

static int run_one(struct hw_net *net, struct hw_error *err)
{
	static const uint8_t in[TINY_IN] = {1, 2, 3, 4, 5, 6, 7, 8};
	uint8_t out[TINY_OUT];

	return hw_net_run(net, (const void *[]){in}, (void *[]){out}, FRAME_MS, err);
}

static unsigned int count(const cJSON *lines, const char *op)
{
	const cJSON *line;
	unsigned int n = 0;

	cJSON_ArrayForEach(line, lines)
		n += trace_is(line, op);
	return n;
}

/*
 * The messages of a recording as a word: I identify, D device information, R reset, C clear,
 * K constants, H header, c context, and E with the application's number.
 */
static void messages(const cJSON *lines, char *out, size_t size)
{
	static const char letters[256] = {[0] = 'I', [51] = 'D', [71] = 'C', [72] = 'K', [32] = 'H',
					  [33] = 'c'};
	const cJSON *line;
	size_t n = 0;

	cJSON_ArrayForEach(line, lines) {
		const char *req = trace_text(line, "req");

		if (!trace_is(line, "control"))
			continue;
		assert_true(n + 8 < size);
		if (!trace_is_control(line, 37))
			out[n++] = letters[(uint8_t)trace_number(line, "opcode")];
		else if (!strncmp(req + 48, "00", 2))
			out[n++] = 'R';
		else
			n += (size_t)sprintf(out + n, "E%lu", strtoul((char[]){req[58], req[59], 0}, NULL, 16));
	}
	out[n] = 0;
}

/* ------------------------------------------------------------------------------ recorder */

static void a_run_is_written(void **state)
{
	struct hw_dev *dev = open_recorded(NULL);
	struct hw_error err = {0};
	struct hw_net *net;
	const cJSON *t, *c;
	char word[200];
	cJSON *lines;

	(void)state;
	assert_ok(load(dev, &net, &err), &err);
	for (int i = 0; i < 3; i++)
		assert_ok(run_one(net, &err), &err);
	hw_net_free(net);
	hw_dev_close(dev);
	lines = recorded();
	assert_true(trace_is(lines->child, "meta"));
	assert_int_equal(trace_number(lines->child, "format"), 1);
	messages(lines, word, sizeof(word));
	assert_string_equal(word, "IDRCKHccccE0RRC");
	assert_int_equal(count(lines, "context"), 4);
	assert_int_equal(count(lines, "network"), 1);
	assert_int_equal(count(lines, "enable_channels"), 1);
	assert_int_equal(count(lines, "disable_channels"), 1);
	assert_int_equal(count(lines, "transfer"), 6);
	assert_int_equal(count(lines, "transfer_unfinished"), 0);
	assert_int_equal(count(lines, "list_create"), count(lines, "list_state"));
	assert_int_equal(count(lines, "list_release"), 1);
	assert_int_equal(count(lines, "close"), 1);
	cJSON_ArrayForEach(c, lines)
		if (trace_is(c, "close"))
			assert_int_equal(trace_number(c, "buffers_still_mapped"), 0);
	/* golden/README 4.1 has no rule for our network, but bytes are bytes: 1..8 */
	cJSON_ArrayForEach(t, lines)
		if (trace_is(t, "transfer") && trace_number(t, "ch") < 16)
			assert_string_equal(trace_text(t, "sha256"),
					    "66840dda154e8a113c31dd0ad32f7f3a366a80e8136979d8f5a101d3d29d6f72");
	cJSON_Delete(lines);
}

/* A frame that never ends: its transfers are told apart. */
static void a_hang_is_written(void **state)
{
	struct hw_dev *dev = open_recorded("channel-stuck=16");
	struct hw_error err = {0};
	struct hw_net *net;
	const cJSON *line;
	unsigned int stuck = 0;
	cJSON *lines;

	(void)state;
	assert_ok(load(dev, &net, &err), &err);
	assert_int_equal(run_one(net, &err), -ETIMEDOUT);
	hw_net_free(net);
	hw_dev_close(dev);
	lines = recorded();
	cJSON_ArrayForEach(line, lines)
		if (trace_is(line, "transfer_unfinished") && trace_number(line, "ch") == 16)
			stuck++;
	assert_int_equal(stuck, 1);
	cJSON_Delete(lines);
}

/* A full disk ends the recording, not the work. */
static void a_full_disk_is_survived(void **state)
{
	struct hw_dev_options o = {.device = "mock", .record = "/dev/full", .record_mmio = "/dev/full"};
	struct hw_error err = {0};
	struct hw_dev *dev;
	struct hw_net *net;

	(void)state;
	if (access("/dev/full", W_OK) < 0)
		skip();
	journal_begin(HW_LOG_WARNING);
	assert_ok(hw_dev_open(&o, &dev, &err), &err);
	assert_ok(load(dev, &net, &err), &err);
	assert_ok(run_one(net, &err), &err);
	hw_net_free(net);
	hw_dev_close(dev);
	assert_int_equal(logged("recording"), 1);
	journal_end();
}

static void files_that_cannot_be_made(void **state)
{
	struct hw_dev_options o = {.device = "mock", .record = "/nonexistent/r.jsonl"};
	struct hw_error err = {0};
	struct hw_dev *dev = NULL;

	(void)state;
	assert_int_equal(hw_dev_open(&o, &dev, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/r.jsonl"));
	snprintf(record_path, sizeof(record_path), "%s/r.jsonl", tmp_dir());
	o.record = record_path;
	o.record_mmio = "/nonexistent/r.tsv";
	assert_int_equal(hw_dev_open(&o, &dev, &err), -ENOENT);
	assert_null(dev);
}

static void options_for_chips_in_this_process(void **state)
{
	struct hw_dev_options o = {.device = "mock", .mock_max_page = 512};
	struct hw_error err = {0};
	struct hw_dev_info info;
	struct hw_dev *dev = NULL;

	(void)state;
	assert_int_equal(hw_dev_open(&o, &dev, &err), -EINVAL);
	o = (struct hw_dev_options){.device = "mock", .mock_hw_consts = "0800"};
	assert_int_equal(hw_dev_open(&o, &dev, &err), -EINVAL);
	o.mock_hw_consts = "08000000fffff8ff00100000010000008000000";
	assert_int_equal(hw_dev_open(&o, &dev, &err), -EINVAL);
	o = (struct hw_dev_options){.device = "auto", .mock_layout = 3};
	assert_int_equal(hw_dev_open(&o, &dev, &err), -EINVAL);
	o = (struct hw_dev_options){.device = "mock:8l", .mock_layout = 0x3c, .mock_max_page = 128};
	assert_ok(hw_dev_open(&o, &dev, &err), &err);
	assert_ok(hw_dev_query_info(dev, &info, &err), &err);
	assert_int_equal(info.clusters, 0x3c);
	assert_int_equal(info.max_desc_page, 128);
	assert_int_equal(info.clock_hz, 400000000);
	hw_dev_close(dev);
}

/* ----------------------------------------------------------------- networks on the chip */

/*
 * Go through @steps on a chip with @faults: l loads a network, L is refused, r runs a frame, R does so
 * in vain, f frees, 0 resets the device.  The messages must be @want.  How many events were recorded.
 */
static unsigned int walk(const char *faults, const char *steps, const char *want)
{
	struct hw_dev *dev = open_recorded(faults);
	struct hw_error err = {0};
	struct hw_net *net = NULL;
	char word[1000];
	unsigned int events;
	cJSON *lines;

	for (; *steps; steps++) {
		switch (*steps) {
		case 'l':
			assert_ok(load(dev, &net, &err), &err);
			break;
		case 'L':
			assert_int_equal(load(dev, &net, &err), -EIO);
			break;
		case 'r':
			assert_ok(run_one(net, &err), &err);
			break;
		case 'R':
			assert_int_equal(run_one(net, &err), -EIO);
			break;
		case 'f':
			hw_net_free(net);
			break;
		case '0':
			assert_ok(hw_dev_reset(dev, &err), &err);
			break;
		}
	}
	hw_dev_close(dev);
	lines = recorded();
	messages(lines, word, sizeof(word));
	assert_string_equal(word, want);
	events = count(lines, "event");
	cJSON_Delete(lines);
	return events;
}

static void networks_are_counted(void **state)
{
	char line[200] = "", want[1000] = "IDRCKHccccE0R";

	(void)state;
	for (int i = 0; i < 34; i++) {
		strcat(line, i == 31 || i == 33 ? "lrf" : "lf");
		/* 32 are the most that the firmware keeps: then it is told to forget them */
		if (i)
			snprintf(want + strlen(want), sizeof(want) - strlen(want), "%sKHccccE%dR",
				 i == 32 ? "DRC" : "D", i % 32);
	}
	strcat(want, "RC");
	walk(NULL, line, want);
}

/* What is refused behind other networks is tried again without them. */
static void a_full_configuration_memory(void **state)
{
	(void)state;
	/* controls 1 to 12 are the first network's: I D R C K H c c c c E0 R; then D K H c */
	walk("control-error=16:0x4013007a", "lf lrf", "IDRCKHccccE0RDKHcRCHccccE0RRC");
}

/* Half a configuration is not built upon. */
static void a_refused_network_is_cleared_away(void **state)
{
	(void)state;
	walk("control-error=8:0x4013007a", "L lrf", "IDRCKHccDRCKHccccE0RRC");
}

static void after_a_run_time_error(void **state)
{
	(void)state;
	assert_int_equal(walk("ctx-error", "lRf lrf", "IDRCKHccccE0RDRCKHccccE0RRC"), 1);
}

/* A reset device begins again, and has nothing to be cleared when it is closed. */
static void after_a_reset(void **state)
{
	(void)state;
	walk(NULL, "lf 0", "IDRCKHccccE0RI");
}

static void batches_that_make_no_sense(void **state)
{
	struct hw_dev *dev = open_recorded(NULL);
	struct hw_net_options n = {.batch = 4, .dynamic_batch = 5};
	struct hw_error err = {0};
	struct hw_net *net;
	size_t len;
	uint8_t *hef = tiny_hef("tiny", 1.0f, 3, &len);

	(void)state;
	assert_int_equal(hw_net_load_mem(dev, hef, len, &n, &net, &err), -EINVAL);
	n = (struct hw_net_options){.queue_depth = 128};
	assert_int_equal(hw_net_load_mem(dev, hef, len, &n, &net, &err), -EINVAL);
	free(hef);
	hw_dev_close(dev);
}

/* The time on the chip is counted when it is asked for, and then is a part of the whole. */
static void latency(void **state)
{
	struct hw_dev *dev = open_recorded(NULL);
	struct hw_error err = {0};
	size_t len;
	uint8_t *hef = tiny_hef("tiny", 1.0f, 3, &len);

	(void)state;
	for (int on = 0; on < 2; on++) {
		struct hw_net_options n = {.measure_latency = on != 0};
		uint64_t start = util_now_ns(), took;
		struct hw_net_stats stats;
		struct hw_net *net;

		assert_ok(hw_net_load_mem(dev, hef, len, &n, &net, &err), &err);
		for (int i = 0; i < 10; i++)
			assert_ok(run_one(net, &err), &err);
		took = util_now_ns() - start;
		hw_net_get_stats(net, &stats);
		assert_int_equal(stats.completed, 10);
		assert_true(on ? stats.chip_ns > 0 && stats.chip_ns < took : stats.chip_ns == 0);
		hw_net_free(net);
	}
	hw_dev_close(dev);
	free(hef);
}

/* --------------------------------------------------------------------- bytes and files */

static unsigned int no_list(uint64_t bus, const void *user)
{
	(void)bus;
	(void)user;
	return 0;
}

/* protocol 4.3, 4.4: one output, one input, and what cutting them does */
static void action_lists_that_are_none(void **state)
{
	size_t len;
	uint8_t *bytes = unhex("1effffffff"
			       "21ffffffff" "10" "0000002000100000000001200000000001" "0000"
			       "20ffffffff" "02" "0000001000100000000002200000000004" "0000"
			       "00" "00" "0004" "00040000",
			       &len);
	cJSON *actions;

	(void)state;
	actions = trace_actions((struct span){bytes, len}, no_list, NULL);
	assert_non_null(actions);
	assert_int_equal(cJSON_GetArraySize(actions), 3);
	assert_string_equal(trace_text(cJSON_GetArrayItem(actions, 2), "a"),
			    "open_boundary_input_channel");
	assert_string_equal(trace_text(cJSON_GetObjectItem(cJSON_GetArrayItem(actions, 1), "hbi"), "bus"),
			    "0x1000200000");
	cJSON_Delete(actions);
	for (size_t i = 1; i < len; i++)
		if (i != 5 && i != 30)
			assert_null(trace_actions((struct span){bytes, i}, no_list, NULL));
	bytes[0] = 45; /* no such action */
	assert_null(trace_actions((struct span){bytes, len}, no_list, NULL));
	bytes[0] = 24; /* a repeated one of nothing */
	bytes[5] = 0;
	assert_null(trace_actions((struct span){bytes, len}, no_list, NULL));
	free(bytes);
}

static void files_that_are_no_recordings(void **state)
{
	static const char *const texts[] = {
		"", "\n\n", "{\"op\":\"meta\"}\n{\"op\":", "{\"op\":\"meta\"}\nnull\n", "[]\n", "{\"op\":7}\n",
		"7\n", "{\"a\":1}\n",
	};
	struct hw_error err = {0};
	char path[300];
	cJSON *lines = NULL;

	(void)state;
	snprintf(path, sizeof(path), "%s/x.jsonl", tmp_dir());
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		spit(path, texts[i], strlen(texts[i]));
		assert_int_equal(trace_read(path, &lines, &err), -EBADMSG);
		assert_non_null(strstr(err.text, path));
	}
	assert_null(lines);
	spit(path, "{\"op\":\"meta\"}", 13);
	assert_ok(trace_read(path, &lines, &err), &err);
	assert_int_equal(cJSON_GetArraySize(lines), 1);
	cJSON_Delete(lines);
	assert_int_equal(trace_read("/nonexistent", &lines, &err), -ENOENT);
}

static cJSON *lines_of(const char *text)
{
	struct hw_error err = {0};
	char path[300];
	cJSON *lines;

	snprintf(path, sizeof(path), "%s/x.jsonl", tmp_dir());
	spit(path, text, strlen(text));
	assert_ok(trace_read(path, &lines, &err), &err);
	return lines;
}

/* golden/README: "if equal to another run, only the meta line with same_as" */
static void a_run_equal_to_another(void **state)
{
	static const char *const lost[] = {"gone", "../m.batch1"};
	char path[300], text[200];
	struct hw_error err = {0};
	cJSON *lines = NULL;

	(void)state;
	snprintf(path, sizeof(path), "%s/m.batch1.jsonl", tmp_dir());
	snprintf(text, sizeof(text), "{\"op\":\"meta\",\"run\":\"batch1\"}\n{\"op\":\"close\"}\n");
	spit(path, text, strlen(text));
	snprintf(path, sizeof(path), "%s/m.default.jsonl", tmp_dir());
	snprintf(text, sizeof(text), "{\"op\":\"meta\",\"run\":\"default\",\"same_as\":\"batch1\"}\n");
	spit(path, text, strlen(text));
	assert_ok(trace_read(path, &lines, &err), &err);
	assert_int_equal(cJSON_GetArraySize(lines), 2);
	cJSON_Delete(lines);
	for (size_t i = 0; i < ARRAY_SIZE(lost); i++) {
		snprintf(text, sizeof(text), "{\"op\":\"meta\",\"run\":\"default\",\"same_as\":\"%s\"}\n", lost[i]);
		spit(path, text, strlen(text));
		assert_int_equal(trace_read(path, &lines, &err), -ENOENT);
		assert_non_null(strstr(err.text, lost[i]));
	}
	snprintf(path, sizeof(path), "%s/m.otherwise.jsonl", tmp_dir());
	spit(path, text, strlen(text));
	assert_int_equal(trace_read(path, &lines, &err), -ENOENT);
}

/* cJSON rounds what has more digits than 15; bitmaps of sub-clusters have them. */
static void all_digits_count(void **state)
{
	char text[] = "{\"op\":\"context\",\"n\":-12,\"s\":\"\\\"99999999999999999\\\\\",\"actions\":[{\"a\":\"x\","
		      "\"l2\":9007199254740991,\"sc\":18446740515196109963,\"last\":1.5}]}";
	struct trace_difference d;
	cJSON *a = lines_of(text), *b;
	char *printed = cJSON_PrintUnformatted(a->child);

	(void)state;
	assert_string_equal(printed, text);
	free(printed);
	b = lines_of(text);
	assert_int_equal(trace_compare(a, b, &d), 0);
	cJSON_Delete(b);
	strstr(text, "63,")[1] = '2';
	b = lines_of(text);
	assert_int_equal(trace_compare(a, b, &d), 1);
	assert_string_equal(d.a, "18446740515196109963");
	assert_string_equal(d.b, "18446740515196109962");
	cJSON_Delete(a);
	cJSON_Delete(b);
}

/* Lines with missing, mistyped and absurd members are compared without harm. */
static void lines_that_make_no_sense(void **state)
{
	static const char text[] =
		"{\"op\":\"control\",\"opcode\":33,\"req\":\"00\",\"first\":1,\"last\":1}\n"
		"{\"op\":\"control\",\"opcode\":33,\"req\":7,\"first\":1,\"last\":1}\n"
		"{\"op\":\"control\",\"opcode\":\"x\",\"req\":\"zz\"}\n"
		"{\"op\":\"control\",\"opcode\":37,\"req\":\"0000\"}\n"
		"{\"op\":\"control\",\"opcode\":33,\"last\":1,\"req\":\"0000000000000000000000000000000000000000"
		"0000000000000000000000000000000000000000000000000000000000000007ffffffff\"}\n"
		"{\"op\":\"context\",\"actions\":[7,{\"a\":3},{\"a\":\"activate_cfg_channel\",\"hbi\":4}]}\n"
		"{\"op\":\"list_state\",\"list\":1,\"descs\":[7,[1],[\"x\",2,3,4,5]]}\n"
		"{\"op\":\"list_state\"}\n"
		"{\"op\":\"config_list\",\"pieces\":7,\"list\":1}\n"
		"{\"op\":\"enable_channels\",\"map\":7}\n"
		"{\"op\":\"transfer\",\"ch\":-1e300,\"buffers\":[1],\"start\":1e300}\n"
		"{\"op\":\"transfer\",\"ch\":99,\"buffers\":{\"a\":{\"size\":-1}},\"list\":1e10}\n"
		"{\"op\":\"transfer\",\"ch\":1,\"start\":0}\n"
		"{\"op\":\"queued_ahead\"}\n{\"op\":\"\"}\n";
	struct trace_difference d;
	cJSON *lines = lines_of(text);

	(void)state;
	assert_int_equal(trace_compare(lines, lines, &d), 0);
	cJSON_Delete(lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_is_written),
		cmocka_unit_test(a_hang_is_written),
		cmocka_unit_test(a_full_disk_is_survived),
		cmocka_unit_test(files_that_cannot_be_made),
		cmocka_unit_test(options_for_chips_in_this_process),
		cmocka_unit_test(networks_are_counted),
		cmocka_unit_test(a_full_configuration_memory),
		cmocka_unit_test(a_refused_network_is_cleared_away),
		cmocka_unit_test(after_a_run_time_error),
		cmocka_unit_test(after_a_reset),
		cmocka_unit_test(batches_that_make_no_sense),
		cmocka_unit_test(latency),
		cmocka_unit_test(action_lists_that_are_none),
		cmocka_unit_test(files_that_are_no_recordings),
		cmocka_unit_test(a_run_equal_to_another),
		cmocka_unit_test(all_digits_count),
		cmocka_unit_test(lines_that_make_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
