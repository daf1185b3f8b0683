// SPDX-License-Identifier: MIT
/*
 * The layers of the core, one after the other.  Each is written, parsed by the core's own parser
 * and run on the calibration data by the core's own arithmetic, so that the next layer's weights
 * and biases are chosen for the inputs that it will really get.
 */
#include <math.h>

#include <cblas.h>

#include "build/internal.h"

struct emit {
	struct plan *p;
	int16_t ***data;  /* [sample][tensor], NULL: not there yet or no longer needed */
	size_t *last_use; /* [tensor]: step */
	size_t step;
};

static const struct onnx_tensor *tensor(const struct plan *p, int value)
{
	return &p->g->values[value];
}

static struct root *root_of(const struct plan *p, int value)
{
	return &p->roots[p->values[value].root];
}

static float scale_at(const struct plan *p, int value, size_t element)
{
	return root_of(p, value)->scale[p->values[value].label[element]];
}

static void buf_f32(struct buf *b, float f)
{
	uint32_t u;

	memcpy(&u, &f, 4);
	buf_le32(b, u);
}

static void new_tensor(struct plan *p, int value)
{
	p->tensors[p->n_tensors] = (struct core_tensor){
	    .elements = (uint32_t)tensor(p, value)->elements,
	};
	p->values[value].tensor = (int)p->n_tensors++;
}

/* mult, bias, lo, hi of all channels; @mult2 may be NULL */
static void put_requant(struct buf *b, size_t n, const float *mult, const float *mult2,
			const float *bias, const int16_t *lo, const int16_t *hi)
{
	for (size_t i = 0; i < n; i++)
		buf_f32(b, mult[i]);
	for (size_t i = 0; mult2 && i < n; i++)
		buf_f32(b, mult2[i]);
	for (size_t i = 0; i < n; i++)
		buf_f32(b, bias[i]);
	for (size_t i = 0; i < n; i++)
		buf_le16(b, (uint16_t)lo[i]);
	for (size_t i = 0; i < n; i++)
		buf_le16(b, (uint16_t)hi[i]);
}

static void put_header(const struct plan *p, const struct step *s, struct buf *b,
		       enum payload_op op)
{
	buf_le32(b, op);
	buf_le32(b, 0); /* length, when it is known */
	buf_le32(b, (uint32_t)p->values[s->out].tensor);
	buf_le32(b, (uint32_t)p->values[s->in].tensor);
}

/* ----------------------------------------------------------- convolutions */

/*
 * Gram matrix (upper triangle) of the gathered inputs of one group, and per sample their column
 * sums.  @gram may be NULL.
 */
static int measure_inputs(const struct emit *e, const struct step *s, uint32_t group, double *gram,
			  double *columns)
{
	const size_t k = s->k, rows = (size_t)s->conv.oh * s->conv.ow;
	struct core_layer l = {
	    .op = PAYLOAD_CONV, .conv = s->conv, .k = k, .k_padded = align_up(k, CORE_K_ALIGN)};
	int16_t *codes = malloc(rows * l.k_padded * sizeof(*codes));
	double *x = malloc(rows * k * sizeof(*x));
	int r = -ENOMEM;

	if (!codes || !x)
		goto out;
	for (size_t i = 0; i < e->p->opt->n_samples; i++) {
		const double weight = e->p->weight[i];

		core_gather(&l, e->data[i][e->p->values[s->in].tensor], group, codes);
		for (size_t c = 0; c < k; c++)
			columns[i * k + c] = 0;
		for (size_t row = 0; row < rows; row++)
			for (size_t c = 0; c < k; c++) {
				int16_t v = codes[row * l.k_padded + c];

				columns[i * k + c] += v;
				x[row * k + c] = weight * v;
			}
		if (gram)
			cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, (int)k, (int)rows, 1, x,
				    (int)k, 1, gram, (int)k);
	}
	r = 0;
out:
	free(codes);
	free(x);
	return r;
}

/*
 * Shift the bias so that over the calibration data the sums have the mean they have in f32:
 * rounding of inputs and weights is not the same up and down.
 */
static void correct_bias(const struct emit *e, const struct step *s, size_t o, const int16_t *w,
			 float scale, const double *columns, float *bias)
{
	const double rows = (double)s->conv.oh * s->conv.ow;
	double error = 0, weight = 0;

	for (size_t i = 0; i < e->p->opt->n_samples; i++) {
		double sum = 0;

		for (size_t c = 0; c < s->k; c++)
			sum += w[c] * columns[i * s->k + c];
		error +=
		    e->p->weight[i] * (s->sums[i * s->conv.o + o] - scale * sum - rows * *bias);
		weight += e->p->weight[i] * rows;
	}
	*bias += (float)(error / weight);
}

struct conv_result {
	int16_t *weights;
	float *mult, *bias;
	int16_t *lo, *hi;
};

static int quantise_group(const struct emit *e, const struct step *s, uint32_t group,
			  struct conv_result *c)
{
	const struct plan *p = e->p;
	const struct payload_conv *v = &s->conv;
	const size_t o = v->o / v->groups, o0 = group * o, k = s->k, taps = (size_t)v->kh * v->kw;
	float *folded = malloc(o * k * sizeof(*folded)), *scale = malloc(o * sizeof(*scale));
	double *gram = NULL, *columns = malloc(p->opt->n_samples * k * sizeof(*columns));
	const struct root *out = root_of(p, s->out);
	int r = -ENOMEM;

	if (k <= ROUND_K_MAX)
		gram = calloc(k * k, sizeof(*gram));
	if (!folded || !scale || !columns || (k <= ROUND_K_MAX && !gram))
		goto out;
	/* the scale of each input channel becomes part of the weights that read it */
	for (size_t i = 0; i < o; i++)
		for (size_t j = 0; j < k; j++) {
			size_t channel = group * (v->c / v->groups) + j / taps;

			folded[i * k + j] = s->weights[(o0 + i) * k + j] *
					    scale_at(p, s->in, channel * v->h * v->w);
		}
	r = measure_inputs(e, s, group, gram, columns);
	if (!r)
		r = round_weights(folded, o, k, gram, s->limit, c->weights + o0 * k, scale);
	for (size_t i = 0; !r && i < o; i++) {
		float bias = s->bias ? s->bias[o0 + i] : 0;
		/* a convolution's channels are its root's */
		const float out_scale = out->scale[o0 + i];

		correct_bias(e, s, o0 + i, c->weights + (o0 + i) * k, scale[i], columns, &bias);
		c->mult[o0 + i] = scale[i] / out_scale;
		c->bias[o0 + i] = bias / out_scale;
	}
out:
	free(folded);
	free(scale);
	free(gram);
	free(columns);
	return r;
}

static int put_conv(const struct emit *e, const struct step *s, struct buf *b)
{
	const struct payload_conv *v = &s->conv;
	const struct root *out = root_of(e->p, s->out);
	const uint32_t words[] = {v->groups,
				  v->c,
				  v->h,
				  v->w,
				  v->o,
				  v->kh,
				  v->kw,
				  v->sh,
				  v->sw,
				  v->dh,
				  v->dw,
				  (uint32_t)v->pt,
				  (uint32_t)v->pl,
				  v->oh,
				  v->ow,
				  s->limit > INT8_MAX ? 2 : 1};
	struct conv_result c = {
	    .weights = malloc(v->o * s->k * sizeof(*c.weights)),
	    .mult = malloc(v->o * sizeof(*c.mult)),
	    .bias = malloc(v->o * sizeof(*c.bias)),
	};
	int r = c.weights && c.mult && c.bias ? 0 : -ENOMEM;

	for (uint32_t g = 0; !r && g < v->groups; g++)
		r = quantise_group(e, s, g, &c);
	if (!r) {
		put_header(e->p, s, b, PAYLOAD_CONV);
		for (size_t i = 0; i < ARRAY_SIZE(words); i++)
			buf_le32(b, words[i]);
		put_requant(b, v->o, c.mult, NULL, c.bias, out->lo, out->hi);
		for (size_t i = 0; i < v->o * s->k; i++) {
			if (s->limit > INT8_MAX)
				buf_le16(b, (uint16_t)c.weights[i]);
			else
				buf_u8(b, (uint8_t)c.weights[i]);
		}
	}
	free(c.weights);
	free(c.mult);
	free(c.bias);
	return r;
}

/* ---------------------------------------------------------------- the rest */

/* Per channel where the operands allow it, else per element. */
static void channels_of(const struct plan *p, const struct step *s, uint32_t *n, uint32_t *inner)
{
	const struct onnx_tensor *t = tensor(p, s->out);
	const int operands[] = {s->in, s->in2};

	*n = root_of(p, s->out)->n;
	*inner = (uint32_t)(t->elements / *n);
	for (size_t k = 0; k < ARRAY_SIZE(operands); k++) {
		if (operands[k] < 0)
			continue;
		for (size_t i = 0; i < t->elements; i++)
			if (scale_at(p, operands[k], i) !=
			    scale_at(p, operands[k], i / *inner * *inner)) {
				*n = (uint32_t)t->elements;
				*inner = 1;
				return;
			}
	}
}

static int put_elementwise(const struct plan *p, const struct step *s, struct buf *b)
{
	const bool add = s->kind == STEP_ADD, pool = s->kind == STEP_POOL;
	const struct root *out = root_of(p, s->out);
	uint32_t n, inner;
	float *f;
	int16_t *limits;

	if (pool) {
		n = out->n;
		inner = (uint32_t)(tensor(p, s->in)->elements / n);
	} else {
		channels_of(p, s, &n, &inner);
	}
	f = calloc(n, 3 * sizeof(*f));
	limits = calloc(n, 2 * sizeof(*limits));
	if (!f || !limits) {
		free(f);
		free(limits);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		const uint32_t c = p->values[s->out].label[pool ? i : i * inner];

		f[i] = scale_at(p, s->in, i * inner) / out->scale[c] / (pool ? (float)inner : 1);
		if (add)
			f[n + i] = scale_at(p, s->in2, i * inner) / out->scale[c];
		limits[i] = out->lo[c];
		limits[n + i] = out->hi[c];
		if (s->kind == STEP_RELU && limits[i] < 0)
			limits[i] = 0;
	}
	put_header(p, s, b, add ? PAYLOAD_ADD : pool ? PAYLOAD_POOL : PAYLOAD_SCALE);
	if (add)
		buf_le32(b, (uint32_t)p->values[s->in2].tensor);
	buf_le32(b, n);
	buf_le32(b, inner);
	put_requant(b, n, f, add ? f + n : NULL, f + 2 * n, limits, limits + n);
	free(f);
	free(limits);
	return 0;
}

static void put_table(const struct plan *p, const struct step *s, struct buf *b)
{
	const struct root *in = root_of(p, s->in), *out = root_of(p, s->out);

	put_header(p, s, b, PAYLOAD_TABLE);
	buf_le32(b, (uint32_t)in->lo[0]);
	buf_le32(b, (uint32_t)(in->hi[0] - in->lo[0] + 1));
	for (int32_t code = in->lo[0]; code <= in->hi[0]; code++) {
		double y = 1 / (1 + exp(-(double)code * in->scale[0]));
		double q = nearbyint(y / out->scale[0]);

		q = q < out->lo[0] ? out->lo[0] : q > out->hi[0] ? out->hi[0] : q;
		buf_le16(b, (uint16_t)(int16_t)q);
	}
}

static void put_move(const struct plan *p, const struct step *s, struct buf *b)
{
	put_header(p, s, b, PAYLOAD_MOVE);
	buf_le32(b, s->rank);
	buf_le32(b, s->offset);
	for (uint32_t d = 0; d < s->rank; d++) {
		buf_le32(b, s->axis[d].dim);
		buf_le32(b, (uint32_t)s->axis[d].stride);
	}
}

static int put_step(const struct emit *e, const struct step *s, struct buf *b)
{
	switch (s->kind) {
	case STEP_CONV:
		return put_conv(e, s, b);
	case STEP_POOL:
	case STEP_ADD:
	case STEP_RELU:
		return put_elementwise(e->p, s, b);
	case STEP_SIGMOID:
		put_table(e->p, s, b);
		return 0;
	default:
		put_move(e->p, s, b);
		return 0;
	}
}

/* ------------------------------------------------- the calibration data along */

/* Run the layer that was just written on every sample, and drop what nobody reads any more. */
static int run_layer(struct emit *e, struct span bytes)
{
	struct plan *p = e->p;
	struct core_layer l;
	int16_t *scratch = NULL;
	int r = core_layer_parse(&bytes, p->tensors, p->n_tensors, &l, p->err);

	if (r == -EBADMSG)
		r = -ENOTSUP; /* legal ONNX, but over a limit of the core; the text says which */
	if (r)
		goto out;
	scratch = aligned_alloc(64, align_up(core_layer_scratch(&l) * 2 + 64, 64));
	if (!scratch)
		r = -ENOMEM;
	for (size_t i = 0; !r && i < p->opt->n_samples; i++) {
		int16_t *to =
		    aligned_alloc(64, align_up((size_t)p->tensors[l.out].elements * 2, 64));

		if (!to) {
			r = -ENOMEM;
			break;
		}
		e->data[i][l.out] = to;
		core_layer_run(NULL, &l, p->tensors, e->data[i], scratch);
		for (size_t t = 0; t < p->n_tensors; t++) {
			if (e->last_use[t] > e->step)
				continue;
			free(e->data[i][t]);
			e->data[i][t] = NULL;
		}
	}
out:
	free(scratch);
	core_layer_clear(&l);
	return r;
}

/* The tensor of an alias is its source's, so uses are noted by following the steps once. */
static void note_uses(struct emit *e)
{
	struct plan *p = e->p;

	p->n_tensors = 0;
	for (size_t i = 0; i < p->g->n_inputs; i++)
		new_tensor(p, p->g->inputs[i]);
	for (size_t i = 0; i < p->n_steps; i++) {
		const struct step *s = &p->steps[i];

		if (s->kind == STEP_ALIAS) {
			p->values[s->out].tensor = p->values[s->in].tensor;
			continue;
		}
		new_tensor(p, s->out);
		e->last_use[p->values[s->in].tensor] = i;
		if (s->in2 >= 0)
			e->last_use[p->values[s->in2].tensor] = i;
	}
}

static int load_inputs(struct emit *e)
{
	const struct plan *p = e->p;

	for (size_t i = 0; i < p->g->n_inputs; i++) {
		const int value = p->g->inputs[i], t = p->values[value].tensor;
		const struct root *root = root_of(p, value);
		const size_t n = p->tensors[t].elements;

		p->tensors[t].written = true;
		for (size_t c = 0; c < root->n; c++) {
			if (root->lo[c] < p->tensors[t].lo)
				p->tensors[t].lo = root->lo[c];
			if (root->hi[c] > p->tensors[t].hi)
				p->tensors[t].hi = root->hi[c];
		}
		for (size_t s = 0; s < p->opt->n_samples; s++) {
			const float *x = p->opt->samples[s * p->g->n_inputs + i];
			int16_t *to = aligned_alloc(64, align_up(n * 2, 64));

			if (!to)
				return -ENOMEM;
			e->data[s][t] = to;
			for (size_t j = 0; j < n; j++) {
				uint32_t c = p->values[value].label[j];
				float q = nearbyintf(x[j] / root->scale[c]);

				to[j] = (int16_t)(q < root->lo[c]   ? root->lo[c]
						  : q > root->hi[c] ? root->hi[c]
								    : q);
			}
		}
	}
	return 0;
}

int plan_emit(struct plan *p)
{
	const size_t tensors = p->g->n_values + 1;
	struct emit e = {.p = p};
	int r = -ENOMEM;

	p->tensors = calloc(tensors, sizeof(*p->tensors));
	e.last_use = calloc(tensors, sizeof(*e.last_use));
	e.data = calloc(p->opt->n_samples, sizeof(*e.data));
	if (!p->tensors || !e.last_use || !e.data)
		goto out;
	for (size_t s = 0; s < p->opt->n_samples; s++) {
		e.data[s] = calloc(tensors, sizeof(**e.data));
		if (!e.data[s])
			goto out;
	}
	note_uses(&e);
	r = load_inputs(&e);
	for (size_t i = 0; !r && i < p->n_steps; i++) {
		const size_t at = p->layers.len;
		const struct step *s = &p->steps[i];

		e.step = i;
		if (s->kind != STEP_ALIAS) {
			r = put_step(&e, s, &p->layers);
			if (r)
				break;
			buf_zero(&p->layers, -p->layers.len & 3);
			if (p->layers.failed) {
				r = -ENOMEM;
				break;
			}
			put_le32(p->layers.ptr + at + 4, (uint32_t)(p->layers.len - at));
			p->n_layers++;
			r = run_layer(&e, (struct span){p->layers.ptr + at, p->layers.len - at});
		}
		if (!r)
			r = plan_progress(p);
	}
out:
	for (size_t s = 0; e.data && s < p->opt->n_samples; s++) {
		for (size_t t = 0; e.data[s] && t < tensors; t++)
			free(e.data[s][t]);
		free(e.data[s]);
	}
	free(e.data);
	free(e.last_use);
	return r;
}
