// SPDX-License-Identifier: MIT
/*
 * Real, compiler-made HEFs on the chip in software: their microcode is not executed, all else
 * happens.  The truth is what the vendor's library did with the same files (golden/README): bytes on
 * both wires, descriptors, counters; and the documented pattern.
 */
#include <hwlayer/hwlayer.h>
#include <hwlayer/log.h>
#include <openssl/evp.h>

#include "chip/regs.h"
#include "infer/infer.h"
#include "support/journal.h"
#include "support/support.h"
#include "support/tamper.h"
#include "support/tinynet.h"

#define FRAME_MS 60000 /* sanitizers on a busy machine; nothing waits for it */

static const struct vendor_file {
	const char *name;
	enum mock_arch arch;
} files[] = {
	{"mnist_cnn.hailo8.v0", MOCK_HAILO8},
	{"fsq_m13_imu.hailo8.v2", MOCK_HAILO8},
	{"hand_landmark_lite.hailo8.v2", MOCK_HAILO8},
	{"model_3x640x640.hailo8l.v1", MOCK_HAILO8L},
};

/* -------------------------------------------------------------------------------- helpers */

static void sha256(const void *data, size_t len, char hex[65])
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int n;

	assert_true(EVP_Digest(data, len, md, &n, EVP_sha256(), NULL));
	for (unsigned int i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", md[i]);
}

/* golden/README 4.1, written down once more */
static uint8_t input_byte(uint32_t i, uint32_t frame)
{
	return (uint8_t)(i * 167 + (i >> 8) * 59 + frame * 31 + 7);
}

static uint8_t output_byte(uint32_t i, uint32_t frame, uint32_t ch)
{
	return (uint8_t)(i * 167 + (i >> 8) * 59 + frame * 31 + ch * 17 + 5);
}

static int number(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	if (!v)
		fail_msg("the recording has no \"%s\"", key);
	return v->valueint;
}

static const char *text(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	if (!v)
		fail_msg("the recording has no \"%s\"", key);
	return v->valuestring;
}

/* What the chip saw of each input frame, by its own report. */
struct seen {
	pthread_mutex_t lock;
	size_t n;
	char sha[64][65];
	unsigned int ch[64];
};

static void see(void *user, unsigned int ch, const uint8_t *frame, size_t len)
{
	struct seen *s = user;

	pthread_mutex_lock(&s->lock);
	if (s->n < ARRAY_SIZE(s->sha)) {
		s->ch[s->n] = ch;
		sha256(frame, len, s->sha[s->n]);
	}
	s->n++;
	pthread_mutex_unlock(&s->lock);
}

struct rig {
	struct seen seen;
	struct hw_dev *dev;
	struct mock_chip *chip;
	struct hw_net *net;
	const struct hw_tensor_info *in, *out;
	size_t n_in, n_out;
};

static const char *hef_path(const char *name)
{
	char rel[128];

	snprintf(rel, sizeof(rel), "data/hef/%s.hef", name);
	return shared_path(rel);
}

static void power_on(struct rig *rig, enum mock_arch arch)
{
	struct mock_opts opts = {.arch = arch, .on_input = see, .on_input_user = &rig->seen};
	struct chip_boot_options boot = {0};
	struct hw_error err = {0};
	struct backend *be;

	memset(rig, 0, sizeof(*rig));
	pthread_mutex_init(&rig->seen.lock, NULL);
	assert_ok(backend_mock_open(&opts, &be, &err), &err);
	rig->chip = backend_mock_chip(be);
	assert_ok(infer_dev_open(be, &boot, false, &rig->dev, &err), &err);
}

static void load(struct rig *rig, const char *path, uint32_t batch, uint32_t in_flight)
{
	struct hw_net_options opt = {.batch = batch, .frames_in_flight = in_flight};
	struct hw_error err = {0};

	assert_ok(hw_net_load(rig->dev, path, &opt, &rig->net, &err), &err);
	rig->in = hw_net_inputs(rig->net, &rig->n_in);
	rig->out = hw_net_outputs(rig->net, &rig->n_out);
	assert_int_equal(rig->n_in, 1);
	assert_in_range(rig->n_out, 1, 4);
}

static void power_off(struct rig *rig)
{
	hw_net_free(rig->net);
	hw_dev_close(rig->dev);
	pthread_mutex_destroy(&rig->seen.lock);
}

static cJSON *golden(const char *name, const char *run)
{
	char rel[256];

	snprintf(rel, sizeof(rel), "golden/%s.%s.jsonl", name, run);
	return read_jsonl(shared_path(rel));
}

/* ------------------------------------------------------- one frame after another, all compared */

/* The recorded user frame number @frame. */
static void run_one(struct rig *rig, uint32_t frame, void *const outputs[4])
{
	size_t n = rig->in[0].frame_bytes;
	uint8_t *in = malloc(n);
	struct hw_error err = {0};
	const void *inputs[1] = {in};

	assert_non_null(in);
	for (uint32_t i = 0; i < n; i++)
		in[i] = input_byte(i, frame);
	assert_ok(hw_net_run(rig->net, inputs, outputs, FRAME_MS, &err), &err);
	free(in);
}

/* The user's bytes: all hardware orders of the outputs here keep the elements where they are. */
static void check_pattern(const struct rig *rig, uint32_t frame, void *const outputs[4])
{
	for (size_t o = 0; o < rig->n_out; o++) {
		const struct infer_stream *s = &rig->net->outputs[o];
		const uint8_t *got = outputs[o];

		assert_int_equal(rig->out[o].frame_bytes, rig->out[o].elements);
		for (uint32_t i = 0; i < rig->out[o].frame_bytes; i++) {
			if (got[i] != output_byte(i, frame, s->channel.index))
				fail_msg("frame %u, %s, byte %u is 0x%02x", frame, rig->out[o].name, i,
					 got[i]);
		}
	}
}

static struct infer_stream *stream_on(struct rig *rig, int ch)
{
	for (size_t i = 0; i < rig->n_in; i++) {
		if (rig->net->inputs[i].channel.index == ch)
			return &rig->net->inputs[i];
	}
	for (size_t i = 0; i < rig->n_out; i++) {
		if (rig->net->outputs[i].channel.index == ch)
			return &rig->net->outputs[i];
	}
	fail_msg("no stream on channel %d", ch);
	return NULL;
}

/*
 * The recorded transfer number @frame of each channel: what the chip got and what lies in DMA
 * memory afterwards, padding included.  Slot 0 serves all frames that are run one by one.
 */
static unsigned int check_transfers(struct rig *rig, const cJSON *lines, uint32_t frame)
{
	const cJSON *line;
	unsigned int found = 0;

	cJSON_ArrayForEach(line, lines) {
		struct infer_stream *s;
		char sha[65];
		int ch;

		if (strcmp(text(line, "op"), "transfer") || number(line, "n") != (int)frame)
			continue;
		ch = number(line, "ch");
		s = stream_on(rig, ch);
		if (ch < (int)CHIP_VDMA_FIRST_D2H) {
			assert_int_equal(rig->seen.n, frame + 1);
			assert_int_equal(rig->seen.ch[frame], ch);
			assert_string_equal(rig->seen.sha[frame], text(line, "sha256"));
		} else {
			sha256(s->mem.virt, s->stream->transfer, sha);
			assert_string_equal(sha, text(line, "sha256"));
		}
		assert_int_equal(ceil_div(s->stream->transfer, s->stream->page), number(line, "descs"));
		/* Ours starts at 0 as well and no ring here is short enough to have wrapped. */
		assert_true((uint32_t)number(line, "avail") < s->stream->count);
		assert_int_equal(mock_chip_read(rig->chip, CHIP_BAR_VDMA,
						CHIP_VDMA_HOST((unsigned int)ch), 4) >> 16,
				 number(line, "avail"));
		assert_int_equal(mock_chip_read(rig->chip, CHIP_BAR_VDMA,
						CHIP_VDMA_HOST((unsigned int)ch) + CHIP_VDMA_PROC,
						4) & 0xffff,
				 number(line, "avail"));
		found++;
	}
	return found;
}

static void check_config(struct rig *rig, const cJSON *lines)
{
	struct mock_stats st;
	const cJSON *line;
	unsigned int found = 0;

	mock_chip_stats(rig->chip, &st);
	cJSON_ArrayForEach(line, lines) {
		if (strcmp(text(line, "op"), "config_list"))
			continue;
		assert_int_equal(st.cfg_fetched[number(line, "ch")], number(line, "descs_fetched"));
		assert_int_equal(st.cfg_bytes[number(line, "ch")], number(line, "bytes_fetched"));
		found++;
	}
	assert_int_equal(found, 2);
}

/*
 * Bytes over the bus for @frames frames: data, descriptors (those of outputs are looked at once more
 * to see whether a whole frame has room), and no status words, since nobody asks for them.
 */
static void check_totals(struct rig *rig, const struct mock_stats *before, uint32_t frames)
{
	uint64_t rd = 0, wr = 0;
	struct mock_stats st;

	for (size_t i = 0; i < rig->n_in; i++) {
		const struct network_stream *s = rig->net->inputs[i].stream;

		rd += s->transfer + 16 * ceil_div(s->transfer, s->page);
	}
	for (size_t i = 0; i < rig->n_out; i++) {
		const struct network_stream *s = rig->net->outputs[i].stream;

		wr += s->transfer;
		rd += 2 * 16 * ceil_div(s->transfer, s->page);
	}
	mock_chip_stats(rig->chip, &st);
	assert_int_equal(st.dma_write_bytes - before->dma_write_bytes, wr * frames);
	assert_int_equal(st.dma_read_bytes - before->dma_read_bytes, rd * frames);
	assert_int_equal(st.frames - before->frames, frames);
	assert_int_equal(st.standin_frames - before->standin_frames, frames);
	assert_int_equal(st.dma_faults, 0);
	assert_int_equal(st.events, 0);
}

static void as_recorded(const struct vendor_file *file, uint32_t batch, uint32_t frames)
{
	char run[16];
	struct rig rig;
	struct mock_stats before;
	void *outputs[4] = {0};
	cJSON *lines;

	snprintf(run, sizeof(run), "batch%u", batch);
	lines = golden(file->name, run);
	power_on(&rig, file->arch);
	load(&rig, hef_path(file->name), batch, 1);
	assert_string_equal(hw_net_function(rig.net), "pattern");
	for (size_t o = 0; o < rig.n_out; o++)
		outputs[o] = malloc(rig.out[o].frame_bytes);
	mock_chip_stats(rig.chip, &before);
	for (uint32_t k = 0; k < frames; k++) {
		run_one(&rig, 0, outputs); /* recorded with the same input over and over */
		if (!k) /* by then the last config byte was fetched */
			check_config(&rig, lines);
		check_pattern(&rig, k, outputs);
		assert_int_equal(check_transfers(&rig, lines, k), 1 + rig.n_out);
	}
	mock_chip_stats(rig.chip, &before);
	for (uint32_t k = 0; k < 3; k++)
		run_one(&rig, 0, outputs);
	check_totals(&rig, &before, 3);
	for (size_t o = 0; o < rig.n_out; o++)
		free(outputs[o]);
	power_off(&rig);
	cJSON_Delete(lines);
}

static void every_file_at_batch_1_as_recorded(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		as_recorded(&files[i], 1, 3);
}

static void every_file_at_batch_8_as_recorded(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		as_recorded(&files[i], 8, 8);
}

/* transform/: two different frames; what the user gets is recorded, too. */
static void user_frames_as_recorded(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(files); f++) {
		char rel[256], sha[65];
		struct rig rig;
		void *outputs[4] = {0};
		const cJSON *frame, *part;
		size_t len;
		uint8_t *json;
		cJSON *doc;
		int k = 0;

		snprintf(rel, sizeof(rel), "golden/transform/%s/in-u8-auto.out-u8-auto.json",
			 files[f].name);
		json = slurp(shared_path(rel), &len);
		doc = cJSON_Parse((char *)json);
		free(json);
		assert_non_null(doc);
		power_on(&rig, files[f].arch);
		load(&rig, hef_path(files[f].name), 1, 1);
		for (size_t o = 0; o < rig.n_out; o++)
			outputs[o] = malloc(rig.out[o].frame_bytes);
		cJSON_ArrayForEach(frame, cJSON_GetObjectItem(doc, "frames")) {
			run_one(&rig, (uint32_t)k, outputs);
			cJSON_ArrayForEach(part, cJSON_GetObjectItem(frame, "h2d"))
				assert_string_equal(rig.seen.sha[k], text(part, "sha256"));
			cJSON_ArrayForEach(part, cJSON_GetObjectItem(frame, "user_out")) {
				size_t o = 0;

				while (o < rig.n_out && strcmp(rig.out[o].name, text(part, "vstream")))
					o++;
				assert_true(o < rig.n_out);
				sha256(outputs[o], rig.out[o].frame_bytes, sha);
				assert_string_equal(sha, text(part, "sha256"));
			}
			k++;
		}
		assert_int_equal(k, 2);
		for (size_t o = 0; o < rig.n_out; o++)
			free(outputs[o]);
		power_off(&rig);
		cJSON_Delete(doc);
	}
}

/* ------------------------------------------------------------------------ many frames at once */

struct pending {
	struct crowd *crowd;
	uint32_t frame;
	void *outputs[4];
	bool busy;
};

struct crowd {
	struct rig *rig;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	uint32_t done, wrong;
	size_t slots;
	struct pending slot[8];
};

/* Frames come back in order, so their number since ENABLED is the number of their submission. */
static void came_back(int status, const struct hw_error *err, void *user)
{
	struct pending *p = user;
	struct crowd *c = p->crowd;
	bool wrong = status != 0;

	(void)err;
	for (size_t o = 0; o < c->rig->n_out && !wrong; o++) {
		const uint8_t *got = p->outputs[o];
		unsigned int ch = c->rig->net->outputs[o].channel.index;

		for (uint32_t i = 0; i < c->rig->out[o].frame_bytes && !wrong; i++)
			wrong = got[i] != output_byte(i, p->frame, ch);
	}
	pthread_mutex_lock(&c->lock);
	c->wrong += wrong;
	c->done++;
	p->busy = false;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

static void submit(struct crowd *c, struct pending *p, uint32_t frame)
{
	size_t n = c->rig->in[0].frame_bytes;
	uint8_t *in = malloc(n);
	const void *inputs[1] = {in};
	struct hw_submit s = {.inputs = inputs, .outputs = p->outputs, .timeout_ms = FRAME_MS,
			      .done = came_back, .user = p};
	struct hw_error err = {0};

	assert_non_null(in);
	for (uint32_t i = 0; i < n; i++)
		in[i] = input_byte(i, frame);
	p->frame = frame;
	p->busy = true;
	assert_ok(hw_net_submit(c->rig->net, &s, &err), &err);
	free(in);
}

/* Eight in flight, each with an input of its own, long enough for the rings to wrap. */
static void crowded(const struct vendor_file *file, enum mock_arch arch, uint32_t batch,
		    uint32_t frames)
{
	struct rig rig;
	struct crowd c = {.rig = &rig, .lock = PTHREAD_MUTEX_INITIALIZER,
			  .cond = PTHREAD_COND_INITIALIZER};
	struct hw_net_stats stats;
	size_t wire;

	power_on(&rig, arch);
	load(&rig, hef_path(file->name), batch, ARRAY_SIZE(c.slot));
	c.slots = rig.net->n_slots;
	assert_in_range(c.slots, 2, ARRAY_SIZE(c.slot));
	for (size_t i = 0; i < c.slots; i++) {
		c.slot[i].crowd = &c;
		for (size_t o = 0; o < rig.n_out; o++)
			c.slot[i].outputs[o] = malloc(rig.out[o].frame_bytes);
	}
	pthread_mutex_lock(&c.lock);
	for (uint32_t k = 0; k < frames; k++) {
		struct pending *p = NULL;

		while (!p) {
			for (size_t i = 0; i < c.slots && !p; i++)
				p = c.slot[i].busy ? NULL : &c.slot[i];
			if (!p)
				pthread_cond_wait(&c.cond, &c.lock);
		}
		pthread_mutex_unlock(&c.lock);
		submit(&c, p, k);
		pthread_mutex_lock(&c.lock);
	}
	while (c.done < frames)
		pthread_cond_wait(&c.cond, &c.lock);
	pthread_mutex_unlock(&c.lock);
	assert_int_equal(c.wrong, 0);
	hw_net_get_stats(rig.net, &stats);
	assert_int_equal(stats.completed, frames);
	/* No input was lost, doubled or exchanged: those on an NHWC wire lie there as they are. */
	assert_int_equal(rig.seen.n, frames);
	wire = rig.net->inputs[0].stream->transfer;
	for (uint32_t k = 0; rig.net->inputs[0].stream->layer->order == HW_ORDER_NHWC && k < frames &&
			     k < ARRAY_SIZE(rig.seen.sha); k += 5) {
		uint8_t *want = calloc(1, wire);
		char sha[65];

		assert_non_null(want);
		for (uint32_t i = 0; i < rig.in[0].frame_bytes; i++)
			want[i] = input_byte(i, k);
		sha256(want, wire, sha);
		assert_string_equal(rig.seen.sha[k], sha);
		free(want);
	}
	for (size_t i = 0; i < c.slots; i++)
		for (size_t o = 0; o < rig.n_out; o++)
			free(c.slot[i].outputs[o]);
	power_off(&rig);
}

static void eight_in_flight(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		bool large = i == 3; /* 2400 descriptors a frame, lists of 32768 */

		crowded(&files[i], files[i].arch, 1, large ? 16 : 200);
		crowded(&files[i], files[i].arch, 8, large ? 16 : 200);
	}
}

static void an_8l_file_runs_on_a_hailo8(void **state)
{
	(void)state;
	crowded(&files[3], MOCK_HAILO8, 8, 4);
}

/* ------------------------------------------------------------------------- saying so, refusals */

static void the_log_says_that_it_is_no_inference(void **state)
{
	struct hw_dev_options o = {.device = "mock"};
	struct hw_error err = {0};
	struct hw_dev *dev;
	struct hw_net *net;
	uint8_t *own;
	size_t len;

	(void)state;
	journal_begin(HW_LOG_WARNING);
	assert_ok(hw_dev_open(&o, &dev, &err), &err);
	assert_ok(hw_net_load(dev, hef_path("mnist_cnn.hailo8.v0"), NULL, &net, &err), &err);
	assert_int_equal(logged("answers are a test pattern, not inference"), 1);
	hw_net_free(net);

	/* A network made for software chips is computed, and nothing is said. */
	journal_begin(HW_LOG_WARNING);
	own = tiny_hef("tiny", 1.0f, 3, &len);
	assert_ok(hw_net_load_mem(dev, own, len, NULL, &net, &err), &err);
	assert_string_equal(hw_net_function(net), "core");
	assert_int_equal(logged(""), 0);
	hw_net_free(net);
	hw_dev_close(dev);
	journal_end();
	free(own);
}

static void refused(enum mock_arch arch, const char *file, int code, const char *words)
{
	struct hw_error err = {0};
	struct hw_net *net = NULL;
	struct rig rig;
	void *outputs[4] = {0};

	power_on(&rig, arch);
	assert_int_equal(hw_net_load(rig.dev, hef_path(file), NULL, &net, &err), code);
	assert_null(net);
	if (!strstr(err.text, words))
		fail_msg("%s is refused with: %s", file, err.text);
	/* and the device is as good as before */
	load(&rig, hef_path(arch == MOCK_HAILO8L ? files[3].name : files[1].name), 1, 1);
	for (size_t o = 0; o < rig.n_out; o++)
		outputs[o] = malloc(rig.out[o].frame_bytes);
	run_one(&rig, 0, outputs);
	check_pattern(&rig, 0, outputs);
	for (size_t o = 0; o < rig.n_out; o++)
		free(outputs[o]);
	power_off(&rig);
}

static void files_for_other_chips_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++)
		refused(MOCK_HAILO8L, files[i].name, -ENOTSUP, "Hailo-8L");
	refused(MOCK_HAILO8, "scrfd_2.5g.hailo15h.v3", -ENOTSUP, "ailo");
	refused(MOCK_HAILO8L, "scrfd_2.5g.hailo15h.v3", -ENOTSUP, "ailo");
	refused(MOCK_HAILO8, "truncated", -EBADMSG, "");
}

/* ------------------------------------------------------------ strict about all but the content */

enum damage { HOLE, SHORT, NO_IRQ };

struct harm {
	enum damage kind;
	bool hit;
};

/* At ENABLED: the first config list (its fetches end with control 0x1e) loses something. */
static void harm_config_list(struct tamper *t, const uint8_t *req, size_t len, void *user)
{
	struct harm *h = user;

	if (h->hit || tamper_opcode(req) != 37 || len < 25 || req[24] != 1)
		return;
	for (size_t a = 0; a < t->n_areas && !h->hit; a++) {
		uint32_t *w = t->areas[a].virt;
		size_t n = t->areas[a].size / 16, last = 0;

		/* Other areas hold frames (empty now) and configuration bytes. */
		if (((w[0] & 0xff) != 0x02 && (w[0] & 0xff) != 0x1e) || w[0] >> 8 > 4096)
			continue;
		for (size_t i = 0; i < n; i++) {
			if ((w[4 * i] & 0xff) == 0x1e)
				last = i;
		}
		if (!last)
			continue;
		h->hit = true;
		if (h->kind == HOLE)
			memset(w + 4 * (last / 2), 0, 16);
		else if (h->kind == SHORT)
			memset(w + 4 * last, 0, 16);
		else
			w[4 * last] = (w[4 * last] & ~0xffu) | 0x02;
	}
}

static void harmed(enum damage kind, const char *words)
{
	struct harm h = {.kind = kind};
	struct chip_boot_options boot = {0};
	struct tamper *t = tamper_new(NULL);
	struct hw_error err = {0};
	struct hw_dev *dev;
	struct hw_net *net;
	struct mock_stats st;
	uint8_t in[1800] = {0}, out[8];
	const void *ins[] = {in};
	void *outs[] = {out};
	int r;

	assert_ok(infer_dev_open(&t->be, &boot, false, &dev, &err), &err);
	t->on_control = harm_config_list;
	t->user = &h;
	r = hw_net_load(dev, hef_path("fsq_m13_imu.hailo8.v2"), NULL, &net, &err);
	if (r == 0) {
		r = hw_net_run(net, ins, outs, 200, &err);
		hw_net_free(net);
	}
	assert_true(h.hit);
	assert_int_not_equal(r, 0);
	if (!strstr(err.text, words))
		fail_msg("damage %d is told as: %s", kind, err.text);
	mock_chip_stats(tamper_chip(t), &st);
	assert_int_equal(st.frames, 0);
	t->on_control = NULL;
	assert_ok(hw_net_load(dev, hef_path("fsq_m13_imu.hailo8.v2"), NULL, &net, &err), &err);
	assert_ok(hw_net_run(net, ins, outs, FRAME_MS, &err), &err);
	hw_net_free(net);
	hw_dev_close(dev);
}

static void config_lists_are_checked_as_ever(void **state)
{
	(void)state;
	harmed(HOLE, "config channel");
	harmed(SHORT, "config channel");
	harmed(NO_IRQ, "0x40130020");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_file_at_batch_1_as_recorded),
		cmocka_unit_test(every_file_at_batch_8_as_recorded),
		cmocka_unit_test(user_frames_as_recorded),
		cmocka_unit_test(eight_in_flight),
		cmocka_unit_test(an_8l_file_runs_on_a_hailo8),
		cmocka_unit_test(the_log_says_that_it_is_no_inference),
		cmocka_unit_test(files_for_other_chips_are_refused),
		cmocka_unit_test(config_lists_are_checked_as_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
