// SPDX-License-Identifier: MIT
/* daemon/codec.c and json.c against the HTTP contract (contracts.md section 1); cJSON and strtod() are the
 * independent readers. */
/* The daemon is a program, not a library: its pure files are compiled into their tests. */
#include "../../daemon/json.c"
#include "../../daemon/codec.c"

#include "support/support.h"

static float window[IMU_VALUES];

/* {"x": [[...]]} with @rows rows of @cols zeros, where cell (@t, @c) is @cell. */
static char *body_with(size_t rows, size_t cols, size_t t, size_t c, const char *cell)
{
	struct buf b = {0};

	buf_put(&b, "{\"x\": [", 7);
	for (size_t i = 0; i < rows; i++) {
		buf_put(&b, i ? ", [" : "[", i ? 3 : 1);
		for (size_t k = 0; k < cols; k++) {
			const char *v = i == t && k == c ? cell : "0";

			if (k)
				buf_put(&b, ",", 1);
			buf_put(&b, v, strlen(v));
		}
		buf_put(&b, "]", 1);
	}
	buf_put(&b, "]}", 3); /* with its NUL */
	assert_false(b.failed);
	return (char *)b.ptr;
}

static int parse(const char *text, size_t len, cJSON **reply)
{
	/* An exact allocation, so that ASan sees a read past the NUL. */
	char *exact = malloc(len + 1), *out = NULL;
	size_t out_len = 0;
	int r;

	assert_non_null(exact);
	memcpy(exact, text, len);
	exact[len] = 0;
	r = codec_imu_parse(exact, len, window, &out, &out_len);
	free(exact);
	*reply = NULL;
	if (r == -EINVAL) {
		assert_int_equal(strlen(out), out_len);
		*reply = cJSON_ParseWithOpts(out, NULL, 1);
		if (!*reply)
			fail_msg("the answer is not JSON: %s", out);
		free(out);
	}
	return r;
}

/* The first detail of the refusal of @text, which is checked for @type, @msg and @loc. */
static cJSON *refused(const char *text, size_t len, const char *type, const char *msg,
		      const char *loc)
{
	cJSON *reply, *detail, *first, *part;
	char *got;

	if (parse(text, len, &reply) != -EINVAL)
		fail_msg("accepted: %.60s", text);
	detail = cJSON_GetObjectItem(reply, "detail");
	assert_int_equal(cJSON_GetArraySize(detail), 1);
	first = cJSON_DetachItemFromArray(detail, 0);
	part = cJSON_GetObjectItem(first, "type");
	assert_string_equal(part->valuestring, type);
	part = cJSON_GetObjectItem(first, "msg");
	assert_string_equal(part->valuestring, msg);
	if (loc) {
		got = cJSON_PrintUnformatted(cJSON_GetObjectItem(first, "loc"));
		assert_string_equal(got, loc);
		free(got);
	}
	assert_true(cJSON_HasObjectItem(first, "input"));
	cJSON_Delete(reply);
	return first;
}

static void refused_with_input(const char *text, const char *type, const char *msg, const char *loc,
			       const char *input)
{
	cJSON *d = refused(text, strlen(text), type, msg, loc);
	char *got = cJSON_PrintUnformatted(cJSON_GetObjectItem(d, "input"));

	assert_string_equal(got, input);
	free(got);
	cJSON_Delete(d);
}

static void not_json(const char *text, size_t len)
{
	cJSON *d = refused(text, len, "json_invalid", "JSON decode error", NULL);
	cJSON *loc = cJSON_GetObjectItem(d, "loc");

	assert_string_equal(cJSON_GetArrayItem(loc, 0)->valuestring, "body");
	assert_true(cJSON_GetArrayItem(loc, 1)->valuedouble <= (double)len);
	assert_non_null(cJSON_GetObjectItem(cJSON_GetObjectItem(d, "ctx"), "error"));
	cJSON_Delete(d);
}

static void accepted(const char *text)
{
	cJSON *reply;
	int r = parse(text, strlen(text), &reply);

	if (r) {
		char *why = cJSON_PrintUnformatted(reply);

		fail_msg("refused: %s", why);
	}
}

static void cell_refused(const char *cell, size_t t, size_t c, const char *type, const char *msg,
			 const char *loc, const char *input)
{
	char *text = body_with(IMU_STEPS, IMU_CHANNELS, t, c, cell);

	refused_with_input(text, type, msg, loc, input);
	free(text);
}

static void a_window_is_read_row_by_row(void **state)
{
	struct buf b = {0};
	char cell[32];

	(void)state;
	buf_put(&b, "{\"x\":[", 6);
	for (int i = 0; i < IMU_VALUES; i++) {
		snprintf(cell, sizeof(cell), "%s%.3f%s",
			 i % 9 ? ","
			 : i   ? ",["
			       : "[",
			 i / 100.0, i % 9 == 8 ? "]" : "");
		buf_put(&b, cell, strlen(cell));
	}
	buf_put(&b, "]}", 3);
	accepted((char *)b.ptr);
	for (int i = 0; i < IMU_VALUES; i++)
		assert_true(window[i] ==
			    strtof((snprintf(cell, 32, "%.3f", i / 100.0), cell), NULL));
	buf_free(&b);
}

static void numbers_are_those_of_strtod(void **state)
{
	static const char *const numbers[] = {
	    "0",
	    "-0",
	    "1",
	    "-1",
	    "34.999999999999999999",
	    "0.1",
	    "-0.30000000000000004",
	    "1e-5",
	    "1E+1",
	    "2.5e-324",
	    "4.9406564584124654e-324",
	    "1e-400",
	    "123456789e-7",
	    "0.000000000000000000000000000000000001",
	    "9007199254740993e-15",
	    "9007199254740992e-15",
	    "1.7976931348623157e-308",
	    "3.4028234e-38",
	    "1e-22",
	    "1e-23",
	    "33.333333333333333333333333333333333333333333333333333",
	    "0e999999999999",
	    "1.00000005960464477539062500000000000000000001",
	    "0.50000000000000011102230246251565",
	    "29.999999999999996447286321199499070644378662109375",
	    "1234567890123456789e-18",
	    "0.1234567890123456789",
	    "2e1",
	    "2.00e+01",
	    "-35",
	    "35.0",
	    "35",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		char *text = body_with(IMU_STEPS, IMU_CHANNELS, 7, 4, numbers[i]);
		float want = (float)strtod(numbers[i], NULL);

		accepted(text);
		if (memcmp(&window[7 * 9 + 4], &want, sizeof(want)) != 0)
			fail_msg("%s became %.17g", numbers[i], (double)window[7 * 9 + 4]);
		free(text);
	}
}

static void random_numbers_are_those_of_strtod(void **state)
{
	uint64_t seed = 88172645463325252u;
	char number[64];

	(void)state;
	for (int i = 0; i < 2000; i++) {
		char *text;
		float want;

		seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
		snprintf(number, sizeof(number), "%s%d.%0*llue%d", seed & 1 ? "-" : "",
			 (int)(seed >> 8 & 7), (int)(seed >> 12 & 15) + 1,
			 (unsigned long long)(seed >> 20), -(int)(seed >> 16 & 15));
		text = body_with(IMU_STEPS, IMU_CHANNELS, 99, 8, number);
		want = (float)strtod(number, NULL);
		accepted(text);
		if (window[899] != want)
			fail_msg("%s became %.17g", number, (double)window[899]);
		free(text);
	}
}

static void other_keys_and_other_order_are_fine(void **state)
{
	char *plain = body_with(IMU_STEPS, IMU_CHANNELS, 0, 0, "1.5");
	struct buf b = {0};
	const char *before =
	    " {\"y\": {\"x\": [1, {\"x\": null}]}, \"\\u00fc\\ud83d\\ude00 \xc3\xbc\": \"\\n\\\"\","
	    " \"e\": [], \"o\": {}, \"t\": [true, false, null, -1.5e+3], ";
	const char *after = ", \"session\": \"z\" } \r\n\t";

	(void)state;
	buf_put(&b, before, strlen(before));
	buf_put(&b, plain + 1, strlen(plain) - 2);
	buf_put(&b, after, strlen(after) + 1);
	memset(window, 0, sizeof(window));
	accepted((char *)b.ptr);
	assert_true(window[0] == 1.5f);
	buf_free(&b);
	free(plain);
	/* An escaped name is the same name. */
	plain = body_with(IMU_STEPS, IMU_CHANNELS, 0, 0, "2.5");
	buf_put(&b, "{\"\\u0078\"", 9);
	buf_put(&b, plain + 4, strlen(plain) - 3);
	accepted((char *)b.ptr);
	assert_true(window[0] == 2.5f);
	buf_free(&b);
	free(plain);
}

static void missing_fields_are_named(void **state)
{
	(void)state;
	refused_with_input("{}", "missing", "Field required", "[\"body\",\"x\"]", "{}");
	refused_with_input("{\"y\":[1]}", "missing", "Field required", "[\"body\",\"x\"]",
			   "{\"y\":[1]}");
	refused_with_input("", "missing", "Field required", "[\"body\"]", "null");
	refused_with_input("[1]", "model_attributes_type",
			   "Input should be a valid dictionary or object to extract fields from",
			   "[\"body\"]", "[1]");
}

static void types_are_checked(void **state)
{
	(void)state;
	refused_with_input("{\"x\":5}", "list_type", "Input should be a valid list",
			   "[\"body\",\"x\"]", "5");
	refused_with_input("{\"x\":null}", "list_type", "Input should be a valid list",
			   "[\"body\",\"x\"]", "null");
	refused_with_input("{\"x\":[[1],7]}", "list_type", "Input should be a valid list",
			   "[\"body\",\"x\",1]", "7");
	refused_with_input("{\"x\":[NaN]}", "list_type", "Input should be a valid list",
			   "[\"body\",\"x\",0]", "null");
	cell_refused("\"1\"", 3, 2, "float_type", "Input should be a valid number",
		     "[\"body\",\"x\",3,2]", "\"1\"");
	cell_refused("true", 99, 8, "float_type", "Input should be a valid number",
		     "[\"body\",\"x\",99,8]", "true");
	cell_refused("[1, {\"a\":2}]", 0, 1, "float_type", "Input should be a valid number",
		     "[\"body\",\"x\",0,1]", "[1,{\"a\":2}]");
}

static void shapes_are_checked(void **state)
{
	static const struct {
		size_t rows, cols;
		const char *msg, *loc;
	} cases[] = {
	    {0, 0, "Expected 100 timesteps, got 0", "[\"body\",\"x\"]"},
	    {2, 9, "Expected 100 timesteps, got 2", "[\"body\",\"x\"]"},
	    {99, 9, "Expected 100 timesteps, got 99", "[\"body\",\"x\"]"},
	    {101, 9, "Expected 100 timesteps, got 101", "[\"body\",\"x\"]"},
	    {5000, 9, "Expected 100 timesteps, got 5000", "[\"body\",\"x\"]"},
	    {99, 8, "Expected 100 timesteps, got 99", "[\"body\",\"x\"]"},
	    {100, 8, "Timestep 0 has 8 channels, expected 9", "[\"body\",\"x\",0]"},
	    {100, 10, "Timestep 0 has 10 channels, expected 9", "[\"body\",\"x\",0]"},
	    {100, 0, "Timestep 0 has 0 channels, expected 9", "[\"body\",\"x\",0]"},
	};
	char *text, *at;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		text = body_with(cases[i].rows, cases[i].cols, SIZE_MAX, 0, "");
		cJSON_Delete(
		    refused(text, strlen(text), "value_error", cases[i].msg, cases[i].loc));
		free(text);
	}
	/* The 43rd row alone is short; the offending row comes back. */
	text = body_with(IMU_STEPS, IMU_CHANNELS, 42, 8, "7");
	at = strstr(text, ",7]");
	memmove(at, at + 2, strlen(at + 2) + 1);
	refused_with_input(text, "value_error", "Timestep 42 has 8 channels, expected 9",
			   "[\"body\",\"x\",42]", "[0,0,0,0,0,0,0,0]");
	free(text);
}

static void non_finite_values_are_named(void **state)
{
	(void)state;
	cell_refused("NaN", 12, 3, "value_error", "Non-finite value at timestep 12, channel 3: nan",
		     "[\"body\",\"x\",12,3]", "\"NaN\"");
	cell_refused("Infinity", 0, 0, "value_error",
		     "Non-finite value at timestep 0, channel 0: inf", "[\"body\",\"x\",0,0]",
		     "\"Infinity\"");
	cell_refused("-Infinity", 99, 8, "value_error",
		     "Non-finite value at timestep 99, channel 8: -inf", "[\"body\",\"x\",99,8]",
		     "\"-Infinity\"");
	cell_refused("1e999", 1, 5, "value_error", "Non-finite value at timestep 1, channel 5: inf",
		     "[\"body\",\"x\",1,5]", "\"1e999\"");
	cell_refused("-1e999", 1, 6, "value_error",
		     "Non-finite value at timestep 1, channel 6: -inf", "[\"body\",\"x\",1,6]",
		     "\"-1e999\"");
}

static void ranges_are_checked(void **state)
{
	static const char *const at_limit[] = {"500",  "-500.0", "5e2",	  "35", "-35",
					       "35.0", "2000",	 "-2000", "2e3"};
	static const struct {
		const char *cell;
		size_t c;
		const char *msg;
	} cases[] = {
	    {"500.5", 0, "Accelerometer value out of range: 500.5"},
	    {"-501", 1, "Accelerometer value out of range: -501.0"},
	    {"1e30", 2, "Accelerometer value out of range: 1e+30"},
	    {"35.1", 3, "Gyroscope value out of range: 35.1"},
	    {"-35.000000000000007", 4, "Gyroscope value out of range: -35.00000000000001"},
	    {"1000000000000000", 5, "Gyroscope value out of range: 1000000000000000.0"},
	    {"2000.01", 6, "Magnetometer value out of range: 2000.01"},
	    {"-1e16", 7, "Magnetometer value out of range: -1e+16"},
	    {"2000.5", 8, "Magnetometer value out of range: 2000.5"},
	};
	char loc[64], *text;

	(void)state;
	for (size_t c = 0; c < IMU_CHANNELS; c++) {
		text = body_with(IMU_STEPS, IMU_CHANNELS, 50, c, at_limit[c]);
		accepted(text);
		free(text);
		text = body_with(IMU_STEPS, IMU_CHANNELS, 50, c, cases[c].cell);
		snprintf(loc, sizeof(loc), "[\"body\",\"x\",50,%zu]", c);
		assert_int_equal(cases[c].c, c);
		cJSON_Delete(refused(text, strlen(text), "value_error", cases[c].msg, loc));
		free(text);
	}
	cell_refused("-600.25", 4, 0, "value_error", "Accelerometer value out of range: -600.25",
		     "[\"body\",\"x\",4,0]", "-600.25");
}

/* Shape before finite before ranges, whatever comes first in the document. */
static void findings_have_an_order(void **state)
{
	char *text = body_with(IMU_STEPS, IMU_CHANNELS, 0, 0, "501"), *at;

	(void)state;
	at = strrchr(text, '0');
	memcpy(at - 4, "Infi", 4); /* cut a token in half: not JSON wins over all */
	not_json(text, strlen(text));
	free(text);

	text = body_with(IMU_STEPS, IMU_CHANNELS, 0, 0, "501,NaN");
	cJSON_Delete(refused(text, strlen(text), "value_error",
			     "Timestep 0 has 10 channels, expected 9", "[\"body\",\"x\",0]"));
	free(text);

	text = body_with(IMU_STEPS, IMU_CHANNELS, 3, 0, "501,NaN");
	at = strstr(text, "NaN,0");
	memcpy(at, "  NaN", 5);
	cJSON_Delete(refused(text, strlen(text), "value_error",
			     "Non-finite value at timestep 3, channel 1: nan",
			     "[\"body\",\"x\",3,1]"));
	free(text);
}

static void what_is_not_json_is_refused(void **state)
{
	static const char *const texts[] = {
	    " ",
	    "{",
	    "{\"x\"",
	    "{\"x\":",
	    "{\"x\":[",
	    "{\"x\":[[1,2",
	    "{\"x\":[[1,]]}",
	    "{\"x\":[[1],]}",
	    "{\"x\":[]",
	    "{\"x\":[]}}",
	    "{\"x\":[]} x",
	    "{'x':[]}",
	    "{x:[]}",
	    "{\"x\":[],}",
	    "nul",
	    "{\"x\":[[01]]}",
	    "{\"x\":[[1.]]}",
	    "{\"x\":[[.5]]}",
	    "{\"x\":[[+1]]}",
	    "{\"x\":[[1e]]}",
	    "{\"x\":[[-]]}",
	    "{\"x\":[[0x1]]}",
	    "{\"x\":[[1 2]]}",
	    "{\"x\":[[nan]]}",
	    "{\"x\":[[-NaN]]}",
	    "{\"x\":[[NaNa]]}",
	    "{\"x\":[[inf]]}",
	    "{\"y\":NaN,\"x\":[]}",
	    "{\"x\":[[\"\\x\"]]}",
	    "{\"x\":[[\"\\u12g4\"]]}",
	    "{\"x\":[[\"\t\"]]}",
	    "{\"x\":[[\"a]]}",
	    "// c\n{}",
	    "\xef\xbb\xbf{}",
	    /* duplicate keys, plain, escaped, nested */
	    "{\"x\":[],\"x\":[]}",
	    "{\"x\":[],\"\\u0078\":[]}",
	    "{\"a\":{\"b\":1,\"c\":2,\"b\":3}}",
	    "{\"\xc3\xbc\":1,\"\\u00fc\":2}",
	    /* not UTF-8: stray, overlong, surrogate, too large, cut short */
	    "{\"\x80\":1}",
	    "{\"\xc0\xaf\":1}",
	    "{\"\xed\xa0\x80\":1}",
	    "{\"\xf4\x90\x80\x80\":1}",
	    "{\"\xe2\x82\":1}",
	    "{\"a\xff\":1}",
	    "{\"a\":\"\xf0\x9f\x98\"}",
	    "\xc3\xa9",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		not_json(texts[i], strlen(texts[i]));
	not_json("{\"a\0\":1}", 8);
	not_json("{}\0", 3);
}

static void depth_ends_at_ten(void **state)
{
	(void)state;
	refused_with_input("{\"a\":[[[[[[[[[]]]]]]]]]}", "missing", "Field required",
			   "[\"body\",\"x\"]", "{\"a\":[[[[[[[[[]]]]]]]]]}");
	not_json("{\"a\":[[[[[[[[[[]]]]]]]]]]}", 26);
	not_json("{\"x\":[[[[[[[[[[1]]]]]]]]]]}", 27);
	not_json("[[[[[[[[[[[", 11);
}

/* Every prefix of a good body is cut short, and never read beyond. */
static void a_body_cut_anywhere_is_refused(void **state)
{
	char *text = body_with(IMU_STEPS, IMU_CHANNELS, 1, 1, "-1.25e-1");
	size_t len = strlen(text);

	(void)state;
	for (size_t n = 1; n < len; n += n < 64 || n > len - 64 ? 1 : 37)
		not_json(text, n);
	accepted(text);
	free(text);
}

/* A flipped byte anywhere gives an answer, and where it is accepted cJSON accepts it too. */
static void damaged_bodies_are_survived(void **state)
{
	char *text = body_with(IMU_STEPS, IMU_CHANNELS, 1, 1, "\"\\u00fc\xc3\xbc\"");
	size_t len = strlen(text);
	uint32_t seed = 1;
	int refusals = 0;

	(void)state;
	for (int i = 0; i < 4000; i++) {
		char *copy = strdup(text);
		cJSON *reply;

		seed = seed * 1664525u + 1013904223u;
		copy[(seed >> 8) % (i % 2 ? len : 64)] = (char)(seed >> 3);
		if (parse(copy, len, &reply) == -EINVAL)
			refusals++;
		cJSON_Delete(reply);
		free(copy);
	}
	assert_int_equal(refusals, 4000); /* the string cell alone is reason enough */
	free(text);
}

static void long_values_are_not_echoed(void **state)
{
	char *text = body_with(101, IMU_CHANNELS, 0, 0, "0");

	(void)state;
	refused_with_input(text, "value_error", "Expected 100 timesteps, got 101",
			   "[\"body\",\"x\"]", "null");
	free(text);
	refused_with_input("{\"x\":[[NaN]]}", "value_error", "Expected 100 timesteps, got 1",
			   "[\"body\",\"x\"]", "null");
	refused_with_input("{\"x\":[[1]]}", "value_error", "Expected 100 timesteps, got 1",
			   "[\"body\",\"x\"]", "[[1]]");
}

static void answers_read_back_as_the_same_floats(void **state)
{
	float latent[IMU_LATENT], scores[12];
	uint32_t seed = 7;
	char *text;
	size_t len;
	cJSON *o, *a;

	(void)state;
	for (size_t i = 0; i < IMU_LATENT; i++) {
		seed = seed * 1664525u + 1013904223u;
		latent[i] = ((float)seed - 2147483648.0f) / 214748364.8f / (float)(1u << i % 20);
	}
	latent[0] = -0.0f;
	latent[1] = 1e-45f;
	latent[2] = -10.0f;
	latent[3] = 0.1f;
	for (size_t i = 0; i < ARRAY_SIZE(scores); i++)
		scores[i] = 1.0f / (float)(i + 1);
	assert_int_equal(codec_imu_answer(latent, scores, ARRAY_SIZE(scores), "prototypes",
					  "\"a \\\"model\\\"\"", &text, &len),
			 0);
	assert_int_equal(strlen(text), len);
	o = cJSON_ParseWithOpts(text, NULL, 1);
	assert_non_null(o);
	a = cJSON_GetObjectItem(o, "latent");
	assert_int_equal(cJSON_GetArraySize(a), IMU_LATENT);
	for (int i = 0; i < IMU_LATENT; i++) {
		float got = (float)cJSON_GetArrayItem(a, i)->valuedouble;

		assert_memory_equal(&got, &latent[i], sizeof(got));
	}
	a = cJSON_GetObjectItem(o, "motif_scores");
	assert_int_equal(cJSON_GetArraySize(a), ARRAY_SIZE(scores));
	for (int i = 0; i < 12; i++)
		assert_true((float)cJSON_GetArrayItem(a, i)->valuedouble == scores[i]);
	assert_string_equal(cJSON_GetObjectItem(o, "motif_source")->valuestring, "prototypes");
	assert_string_equal(cJSON_GetObjectItem(o, "model")->valuestring, "a \"model\"");
	cJSON_Delete(o);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_window_is_read_row_by_row),
	    cmocka_unit_test(numbers_are_those_of_strtod),
	    cmocka_unit_test(random_numbers_are_those_of_strtod),
	    cmocka_unit_test(other_keys_and_other_order_are_fine),
	    cmocka_unit_test(missing_fields_are_named),
	    cmocka_unit_test(types_are_checked),
	    cmocka_unit_test(shapes_are_checked),
	    cmocka_unit_test(non_finite_values_are_named),
	    cmocka_unit_test(ranges_are_checked),
	    cmocka_unit_test(findings_have_an_order),
	    cmocka_unit_test(what_is_not_json_is_refused),
	    cmocka_unit_test(depth_ends_at_ten),
	    cmocka_unit_test(a_body_cut_anywhere_is_refused),
	    cmocka_unit_test(damaged_bodies_are_survived),
	    cmocka_unit_test(long_values_are_not_echoed),
	    cmocka_unit_test(answers_read_back_as_the_same_floats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
