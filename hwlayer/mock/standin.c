// SPDX-License-Identifier: MIT
/*
 * An ONNX model as stand-in: bytes of the streams to real numbers, the model, and back.  The host
 * tells how each stream lies on the wire and what its bytes mean, since the chip cannot know.
 */
#include <math.h>

#include "mock/payload.h"
#include "mock/sim.h"
#include "mock/standin.h"
#include "onnx/onnx.h"

/* A stream and its place in the model. */
struct port {
	struct mock_stream_format f; /* its tables are copies */
	bool features_first;	     /* the tensor is feature by feature */
	float *data;		     /* the tensor */
};

struct standin {
	unsigned int refs; /* atomic */
	struct onnx_graph *g;
	struct onnx_session *session;
	size_t n_in, n_out;
	struct port *ports; /* inputs, then outputs, in the model's order */
	struct core_port *core_ports;
	const void **in;
	void **out;
};

static size_t elements(const struct mock_stream_format *f)
{
	return (size_t)f->height * f->width * f->features;
}

/* Bytes of a frame up to its last element. */
static uint64_t wire_bytes(const struct mock_stream_format *f)
{
	return ((uint64_t)(f->height - 1) * f->row + (uint64_t)(f->width - 1) * f->column +
		(uint64_t)(f->features - 1) * f->feature + 1) *
	       f->element_bytes;
}

/* ---------------------------------------------------------------------- fitting together */

static size_t squeeze(const int64_t *dim, unsigned int rank, int64_t out[ONNX_RANK_MAX])
{
	size_t n = 0;

	for (unsigned int i = 0; i < rank; i++) {
		if (dim[i] != 1)
			out[n++] = dim[i];
	}
	return n;
}

static bool same_dims(const int64_t *a, size_t n, const int64_t *b, size_t m)
{
	return n == m && !memcmp(a, b, n * sizeof(*a));
}

/*
 * Dimensions of 1 tell nothing apart.  What is left must be rows, columns, features, or features,
 * rows, columns; a tensor of one dimension is taken as the former, element by element.  Where both
 * fit, four dimensions mean features first, as ONNX has them in images.
 */
static int fit(struct port *p, const struct onnx_tensor *t, struct hw_error *err)
{
	const int64_t last[] = {p->f.height, p->f.width, p->f.features};
	const int64_t first[] = {p->f.features, p->f.height, p->f.width};
	int64_t have[ONNX_RANK_MAX], want[ONNX_RANK_MAX];
	size_t n = squeeze(t->dim, t->rank, have);
	bool fits_last, fits_first;

	if (!elements(&p->f) || wire_bytes(&p->f) > UINT32_MAX)
		return hw_fail(err, -EINVAL, "%s has no frames that could be converted", p->f.name);
	if (t->type != ONNX_F32)
		return hw_fail(err, -ENOTSUP, "%s of the ONNX model is not float32", t->name);
	fits_last = same_dims(have, n, want, squeeze(last, 3, want)) ||
		    (n <= 1 && t->elements == elements(&p->f));
	fits_first = same_dims(have, n, want, squeeze(first, 3, want));
	if (!fits_last && !fits_first)
		return hw_fail(err, -EINVAL,
			       "%s of the ONNX model (%zu numbers) does not have the shape of %s, "
			       "%ux%ux%u",
			       t->name, t->elements, p->f.name, p->f.height, p->f.width,
			       p->f.features);
	p->features_first = fits_first && (!fits_last || t->rank == 4);
	p->data = calloc(t->elements + 1, sizeof(*p->data));
	return p->data ? 0 : hw_fail(err, -ENOMEM, "no memory for %s", t->name);
}

static int copy_port(struct port *p, const struct mock_stream_format *f, struct hw_error *err)
{
	float *scale = calloc(f->n_quant + 1, sizeof(*scale));
	float *zero = calloc(f->n_quant + 1, sizeof(*zero));

	p->f = *f;
	p->f.scale = scale;
	p->f.zero_point = zero;
	if (!scale || !zero)
		return hw_fail(err, -ENOMEM, "no memory for %s", f->name);
	memcpy(scale, f->scale, f->n_quant * sizeof(*scale));
	memcpy(zero, f->zero_point, f->n_quant * sizeof(*zero));
	return 0;
}

/* "GROUP/NAME" of a stream and NAME of a tensor */
static bool same_name(const char *stream, const char *tensor)
{
	const char *slash = strrchr(stream, '/');

	return !strcmp(slash ? slash + 1 : stream, tensor) || !strcmp(stream, tensor);
}

static const struct mock_stream_format *nth(const struct mock_stream_format *f, size_t n,
					    bool output, size_t index)
{
	for (size_t i = 0; i < n; i++) {
		if (f[i].output == output && !index--)
			return &f[i];
	}
	return NULL;
}

static const struct mock_stream_format *by_name(const struct mock_stream_format *f, size_t n,
						bool output, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (f[i].output == output && same_name(f[i].name, name))
			return &f[i];
	}
	return NULL;
}

/* The model's inputs, or outputs, take their streams by name if each has one, else in order. */
static int take_side(struct standin *s, const struct mock_stream_format *f, size_t n, bool output,
		     struct hw_error *err)
{
	const int *values = output ? s->g->outputs : s->g->inputs;
	size_t count = output ? s->n_out : s->n_in, have = 0;
	bool named = true;
	int r = 0;

	for (size_t i = 0; i < n; i++)
		have += f[i].output == output;
	if (have != count)
		return hw_fail(err, -EINVAL, "the ONNX model has %zu %s, the network %zu", count,
			       output ? "outputs" : "inputs", have);
	for (size_t i = 0; i < count; i++)
		named = named && by_name(f, n, output, s->g->values[values[i]].name);
	for (size_t i = 0; r == 0 && i < count; i++) {
		const struct onnx_tensor *t = &s->g->values[values[i]];
		const struct mock_stream_format *from =
		    named ? by_name(f, n, output, t->name) : nth(f, n, output, i);
		size_t at = output ? s->n_in + i : i;
		struct port *p = &s->ports[at];

		r = copy_port(p, from, err);
		if (r == 0)
			r = fit(p, t, err);
		if (r < 0)
			break;
		s->core_ports[at] = (struct core_port){p->f.stream_index, output,
						       (uint32_t)wire_bytes(&p->f)};
		if (output)
			s->out[i] = p->data;
		else
			s->in[i] = p->data;
	}
	return r;
}

static void standin_free(struct standin *s)
{
	for (size_t i = 0; s->ports && i < s->n_in + s->n_out; i++) {
		free((void *)(uintptr_t)s->ports[i].f.scale);
		free((void *)(uintptr_t)s->ports[i].f.zero_point);
		free(s->ports[i].data);
	}
	free(s->ports);
	free(s->core_ports);
	free(s->in);
	free(s->out);
	onnx_session_free(s->session);
	onnx_free(s->g);
	free(s);
}

int standin_new(const char *path, unsigned int threads, const struct mock_stream_format *formats,
		size_t n, struct standin **out, struct hw_error *err)
{
	struct standin *s = calloc(1, sizeof(*s));
	size_t ports;
	int r;

	if (!s)
		return hw_fail(err, -ENOMEM, "no memory for an ONNX model");
	s->refs = 1;
	r = onnx_open(path, &s->g, err);
	if (r < 0)
		goto err_free;
	s->n_in = s->g->n_inputs;
	s->n_out = s->g->n_outputs;
	ports = s->n_in + s->n_out;
	s->ports = calloc(ports + 1, sizeof(*s->ports));
	s->core_ports = calloc(ports + 1, sizeof(*s->core_ports));
	s->in = calloc(s->n_in + 1, sizeof(*s->in));
	s->out = calloc(s->n_out + 1, sizeof(*s->out));
	if (!s->ports || !s->core_ports || !s->in || !s->out) {
		r = hw_fail(err, -ENOMEM, "no memory for an ONNX model");
		goto err_free;
	}
	r = take_side(s, formats, n, false, err);
	if (r == 0)
		r = take_side(s, formats, n, true, err);
	if (r == 0)
		r = onnx_session_new(s->g, threads, &s->session, err);
	if (r < 0)
		goto err_free;
	*out = s;
	return 0;
err_free:
	standin_free(s);
	return r;
}

struct standin *standin_get(struct standin *s)
{
	if (s)
		__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void standin_put(struct standin *s)
{
	if (s && !__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL))
		standin_free(s);
}

const struct core_port *standin_ports(const struct standin *s, size_t *count)
{
	*count = s->n_in + s->n_out;
	return s->core_ports;
}

int mock_chip_set_function(struct mock_chip *chip, const char *onnx,
			   const struct mock_stream_format *formats, size_t n, struct hw_error *err)
{
	unsigned int threads = chip->opts.core_threads ? chip->opts.core_threads : 1;
	struct standin *s = NULL, *old;
	int r = onnx ? standin_new(onnx, threads, formats, n, &s, err) : 0;

	if (r < 0)
		return hw_fail_context(err, r, "%s as stand-in", onnx);
	pthread_mutex_lock(&chip->lock);
	old = chip->standin;
	chip->standin = s;
	pthread_mutex_unlock(&chip->lock);
	standin_put(old);
	return 0;
}

int mock_onnx_check(const char *path, struct hw_error *err)
{
	struct onnx_graph *g;
	int r = onnx_open(path, &g, err);

	if (r == 0)
		onnx_free(g);
	return r;
}

/* ------------------------------------------------------------------------------- running */

/* One element on the wire and its place in the tensor, row by row, column by column. */
struct walk {
	size_t wire, tensor;
	size_t column, feature; /* steps in the tensor */
};

static struct walk row(const struct port *p, size_t y)
{
	const struct mock_stream_format *f = &p->f;

	if (p->features_first)
		return (struct walk){y * f->row, y * f->width, 1, (size_t)f->height * f->width};
	return (struct walk){y * f->row, y * f->width * f->features, f->features, 1};
}

static void load(const struct port *p, const uint8_t *wire)
{
	const struct mock_stream_format *f = &p->f;

	for (size_t y = 0; y < f->height; y++) {
		struct walk w = row(p, y);

		for (size_t x = 0; x < f->width; x++) {
			for (size_t c = 0; c < f->features; c++) {
				size_t at = w.wire + x * f->column + c * f->feature;
				size_t q = f->n_quant > 1 ? c : 0;
				unsigned int v =
				    f->element_bytes == 2 ? get_le16(wire + 2 * at) : wire[at];

				p->data[w.tensor + x * w.column + c * w.feature] =
				    ((float)v - f->zero_point[q]) * f->scale[q];
			}
		}
	}
}

static unsigned int quantise(float v, float scale, float zero, unsigned int max)
{
	float q = rintf(v / scale + zero); /* half to even */

	if (!(q > 0)) /* NaN too */
		return 0;
	return q < (float)max ? (unsigned int)q : max;
}

static void store(const struct port *p, uint8_t *wire)
{
	const struct mock_stream_format *f = &p->f;
	unsigned int max = f->element_bytes == 2 ? UINT16_MAX : UINT8_MAX;

	for (size_t y = 0; y < f->height; y++) {
		struct walk w = row(p, y);

		for (size_t x = 0; x < f->width; x++) {
			for (size_t c = 0; c < f->features; c++) {
				size_t at = w.wire + x * f->column + c * f->feature;
				size_t q = f->n_quant > 1 ? c : 0;
				unsigned int v =
				    quantise(p->data[w.tensor + x * w.column + c * w.feature],
					     f->scale[q], f->zero_point[q], max);

				if (f->element_bytes == 2)
					put_le16(wire + 2 * at, (uint16_t)v);
				else
					wire[at] = (uint8_t)v;
			}
		}
	}
}

int standin_run(struct standin *s, const uint8_t *const *in, uint8_t *const *out)
{
	struct hw_error err;

	for (size_t i = 0; i < s->n_in; i++)
		load(&s->ports[i], in[i]);
	if (onnx_run(s->session, s->in, s->out, &err) < 0) {
		hw_log(HW_LOG_ERROR, "software chip: the ONNX stand-in failed: %s", err.text);
		return -EIO;
	}
	for (size_t i = 0; i < s->n_out; i++)
		store(&s->ports[s->n_in + i], out[i]);
	return 0;
}
