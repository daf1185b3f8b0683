// SPDX-License-Identifier: MIT
/* Single elements of any type: loading, storing, and the conversions of Cast. */
#include <inttypes.h>
#include <stdio.h>

#include "onnx/internal.h"

/* Two bytes of sign, exponent and mantissa; the exponent's bias is half its range. */
struct narrow {
	int mantissa, bias;
	double (*round)(double v); /* to what is stored */
};

/* The specification leaves the rounding to bfloat16 open; its conformance data cuts off. */
static const struct narrow half = {10, 15, rint}, bfloat = {7, 127, trunc};

static double widen(uint16_t bits, struct narrow f)
{
	int exponent = bits >> f.mantissa & (2 * f.bias + 1), low = bits & ((1 << f.mantissa) - 1);
	double v;

	if (exponent == 2 * f.bias + 1)
		v = low ? NAN : INFINITY;
	else if (exponent)
		v = ldexp(low + (1 << f.mantissa), exponent - f.bias - f.mantissa);
	else
		v = ldexp(low, 1 - f.bias - f.mantissa);
	return bits & 0x8000 ? -v : v;
}

/* What rounds to more than the largest number is infinite. */
static uint16_t narrow(double v, struct narrow f)
{
	unsigned int sign = signbit(v) ? 0x8000 : 0;
	unsigned int infinite = (unsigned int)(2 * f.bias + 1) << f.mantissa;
	int e, unit;

	if (isnan(v))
		return (uint16_t)(sign | infinite | 1u << (f.mantissa - 1));
	if (isinf(v))
		return (uint16_t)(sign | infinite);
	frexp(v, &e);
	/* The last place: of a number of this size, but never below the smallest there is. */
	unit = e - 1 - f.mantissa;
	unit = unit > 1 - f.bias - f.mantissa ? unit : 1 - f.bias - f.mantissa;
	v = ldexp(f.round(ldexp(fabs(v), -unit)), unit);
	if (v >= ldexp(1, f.bias + 1))
		return (uint16_t)(sign | infinite);
	if (v < ldexp(1, 1 - f.bias))
		return (uint16_t)(sign | (unsigned int)ldexp(v, f.bias - 1 + f.mantissa));
	v = frexp(v, &e);
	/* The leading one of the mantissa adds 1 to the exponent field. */
	return (uint16_t)(sign | (((unsigned int)(e - 2 + f.bias) << f.mantissa) +
				  (unsigned int)ldexp(v, f.mantissa + 1)));
}

/* Conversion of an out-of-range double to an integer is undefined in C: saturate instead. */
static int64_t to_i64(double v)
{
	if (isnan(v))
		return 0;
	if (v >= 9223372036854775808.0)
		return INT64_MAX;
	if (v < -9223372036854775808.0)
		return INT64_MIN;
	return (int64_t)v;
}

static int64_t to_u64(double v)
{
	if (v >= 18446744073709551616.0)
		return -1; /* all ones */
	return v >= 9223372036854775808.0 ? (int64_t)(uint64_t)v : to_i64(v);
}

int64_t onnx_load_i(const struct onnx_tensor *t, size_t at)
{
	switch (t->type) {
	case ONNX_I8:
		return ((const int8_t *)t->data)[at];
	case ONNX_U8:
	case ONNX_BOOL:
		return ((const uint8_t *)t->data)[at];
	case ONNX_I16:
		return ((const int16_t *)t->data)[at];
	case ONNX_U16:
		return ((const uint16_t *)t->data)[at];
	case ONNX_I32:
		return ((const int32_t *)t->data)[at];
	case ONNX_U32:
		return ((const uint32_t *)t->data)[at];
	case ONNX_I64:
	case ONNX_U64:
		return ((const int64_t *)t->data)[at];
	case ONNX_F32:
	case ONNX_F64:
	case ONNX_F16:
	case ONNX_BF16:
		return to_i64(onnx_load_d(t, at));
	default: /* text: no number */
		return 0;
	}
}

double onnx_load_d(const struct onnx_tensor *t, size_t at)
{
	switch (t->type) {
	case ONNX_F32:
		return (double)((const float *)t->data)[at];
	case ONNX_F64:
		return ((const double *)t->data)[at];
	case ONNX_F16:
		return widen(((const uint16_t *)t->data)[at], half);
	case ONNX_BF16:
		return widen(((const uint16_t *)t->data)[at], bfloat);
	case ONNX_U64:
		return (double)((const uint64_t *)t->data)[at];
	default:
		return (double)onnx_load_i(t, at);
	}
}

void onnx_store_i(struct onnx_tensor *t, size_t at, int64_t v)
{
	switch (t->type) {
	case ONNX_BOOL:
		((uint8_t *)t->data)[at] = v != 0;
		break;
	case ONNX_I8:
	case ONNX_U8:
		((uint8_t *)t->data)[at] = (uint8_t)v;
		break;
	case ONNX_I16:
	case ONNX_U16:
		((uint16_t *)t->data)[at] = (uint16_t)v;
		break;
	case ONNX_I32:
	case ONNX_U32:
		((uint32_t *)t->data)[at] = (uint32_t)v;
		break;
	case ONNX_I64:
	case ONNX_U64:
		((int64_t *)t->data)[at] = v;
		break;
	case ONNX_F32: /* straight, by way of double it would be rounded twice */
		((float *)t->data)[at] = (float)v;
		break;
	case ONNX_F64:
	case ONNX_F16:
	case ONNX_BF16:
		onnx_store_d(t, at, (double)v);
		break;
	default:
		break;
	}
}

void onnx_store_d(struct onnx_tensor *t, size_t at, double v)
{
	switch (t->type) {
	case ONNX_F32:
		((float *)t->data)[at] = (float)v;
		break;
	case ONNX_F64:
		((double *)t->data)[at] = v;
		break;
	case ONNX_F16:
		((uint16_t *)t->data)[at] = narrow(v, half);
		break;
	case ONNX_BF16:
		((uint16_t *)t->data)[at] = narrow(v, bfloat);
		break;
	case ONNX_BOOL:
		((uint8_t *)t->data)[at] = v != 0;
		break;
	default:
		onnx_store_i(t, at, t->type == ONNX_U64 ? to_u64(v) : to_i64(v));
		break;
	}
}

void onnx_store_default(struct onnx_tensor *t, size_t at, double v)
{
	if (t->type == ONNX_TEXT)
		memset((char *)t->data + at * ONNX_TEXT_SIZE, 0, ONNX_TEXT_SIZE);
	else
		onnx_store_d(t, at, v);
}

/* ------------------------------------------------------------------------ text */

static void print_number(char *text, const struct onnx_tensor *x, size_t at)
{
	bool wide = x->type == ONNX_F64;
	double v = onnx_load_d(x, at);

	memset(text, 0, ONNX_TEXT_SIZE);
	if (x->type == ONNX_U64) {
		snprintf(text, ONNX_TEXT_SIZE, "%" PRIu64, (uint64_t)onnx_load_i(x, at));
	} else if (!onnx_is_float(x)) {
		snprintf(text, ONNX_TEXT_SIZE, "%" PRId64, onnx_load_i(x, at));
	} else if (isnan(v) || isinf(v)) {
		snprintf(text, ONNX_TEXT_SIZE, "%s", isnan(v) ? "NaN" : v < 0 ? "-INF" : "INF");
	} else {
		/* The shortest text that reads as the same number. */
		for (int digits = 1; digits <= (wide ? 17 : 9); digits++) {
			snprintf(text, ONNX_TEXT_SIZE, "%.*g", digits, v);
			if ((wide ? strtod(text, NULL) : (double)strtof(text, NULL)) == v)
				break;
		}
	}
}

static int read_number(struct onnx_tensor *o, size_t at, const char *cell)
{
	bool single = o->type == ONNX_F32, real = onnx_is_float(o) || o->type == ONNX_BOOL;
	char text[ONNX_TEXT_SIZE + 1] = {0}, *end;

	memcpy(text, cell, ONNX_TEXT_SIZE);
	errno = 0;
	if (real) /* beyond the range is infinite or 0, not an error */
		onnx_store_d(o, at, single ? (double)strtof(text, &end) : strtod(text, &end));
	else if (o->type == ONNX_U64)
		onnx_store_i(o, at, (int64_t)strtoull(text, &end, 10));
	else
		onnx_store_i(o, at, strtoll(text, &end, 10));
	return end == text || *end || strpbrk(text, "xX") || (errno && !real) ? -EINVAL : 0;
}

int onnx_convert(struct onnx_tensor *o, size_t at, const struct onnx_tensor *x, size_t from)
{
	char *to_text = o->type == ONNX_TEXT ? (char *)o->data + at * ONNX_TEXT_SIZE : NULL;

	if (x->type == ONNX_TEXT) {
		const char *text = (const char *)x->data + from * ONNX_TEXT_SIZE;

		if (!to_text)
			return read_number(o, at, text);
		memcpy(to_text, text, ONNX_TEXT_SIZE);
	} else if (to_text) {
		print_number(to_text, x, from);
	} else if (x->type == ONNX_U64 && o->type == ONNX_F32) {
		((float *)o->data)[at] = (float)((const uint64_t *)x->data)[from];
	} else if (onnx_is_float(x) || (x->type == ONNX_U64 && onnx_is_float(o))) {
		onnx_store_d(o, at, onnx_load_d(x, from));
	} else {
		onnx_store_i(o, at, onnx_load_i(x, from));
	}
	return 0;
}
