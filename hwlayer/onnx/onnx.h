// SPDX-License-Identifier: MIT
/*
 * ONNX on the CPU: reader, shape inference, executor.  The schema is Debian's libonnx-dev's,
 * through protobuf-c.  Anything outside the supported subset is refused by name when the model is
 * opened, not when it runs.
 */
#ifndef HWLAYER_ONNX_ONNX_H
#define HWLAYER_ONNX_ONNX_H

#include "util/bytes.h"
#include "util/util.h"

#define ONNX_RANK_MAX 8

enum onnx_type {
	/* of elements, as in TensorProto.DataType */
	ONNX_F32 = 1, ONNX_U8 = 2, ONNX_I8 = 3, ONNX_U16 = 4, ONNX_I16 = 5, ONNX_I32 = 6,
	ONNX_I64 = 7, ONNX_TEXT = 8, ONNX_BOOL = 9, ONNX_F16 = 10, ONNX_F64 = 11, ONNX_U32 = 12,
	ONNX_U64 = 13, ONNX_BF16 = 16,
	/* of values that are no tensors: "elements" is 1, the data a struct onnx_list */
	ONNX_SEQUENCE = 64, ONNX_OPTIONAL, ONNX_OPTIONAL_SEQUENCE,
};

/* An element of type ONNX_TEXT: this many bytes, the last one and all unused ones 0. */
#define ONNX_TEXT_SIZE 32

struct onnx_tensor;

/* A sequence, or an optional value; only Identity takes one, and its output shares the items. */
struct onnx_list {
	const struct onnx_tensor *items; /* NULL: an optional that is not there */
	size_t n;
};

struct onnx_tensor {
	char *name;                /* value name, "" for temporaries */
	enum onnx_type type;
	enum onnx_type item;       /* of a list: the element type of its tensors */
	unsigned int rank;
	int64_t dim[ONNX_RANK_MAX];
	size_t elements;
	bool constant;             /* data known when the model was opened */
	void *data;                /* elements of type; NULL for activations between runs */
};

struct onnx_attr {
	char *name;
	int kind;                  /* AttributeProto.AttributeType: 1 f, 2 i, 3 s, 4 t, 6 floats, 7 ints */
	float f;
	int64_t i;
	char *s;
	struct onnx_tensor *t;
	size_t n;
	float *floats;
	int64_t *ints;
};

struct onnx_node {
	char *name;
	char *op;                  /* "Conv" */
	size_t n_in, n_out;
	int *in, *out;             /* indices into onnx_graph.values; -1: absent optional input */
	size_t n_attr;
	struct onnx_attr *attr;
};

/*
 * A checked graph: nodes in execution order, constants folded (Constant nodes and everything
 * computable from constants are gone), all shapes static.
 */
struct onnx_graph {
	char *name;
	int64_t opset;
	size_t n_values;
	struct onnx_tensor *values;
	size_t n_nodes;
	struct onnx_node *nodes;
	size_t n_inputs, n_outputs;
	int *inputs, *outputs;     /* indices into values */
};

/*
 * Read a model.  A leading dynamic dimension (batch) is taken as 1.
 * -EBADMSG: not ONNX, or inconsistent (shape inference failed; the text names the node);
 * -ENOTSUP: an operator, attribute, type or opset outside the subset (named); -ENOMEM.
 */
int onnx_parse(struct span model, struct onnx_graph **out, struct hw_error *err);
int onnx_open(const char *path, struct onnx_graph **out, struct hw_error *err);
void onnx_free(struct onnx_graph *g);
const struct onnx_attr *onnx_attr(const struct onnx_node *node, const char *name);
/* The graph as a ModelProto (ir 8, the opset of the graph); free() it. */
int onnx_serialize(const struct onnx_graph *g, uint8_t **out, size_t *len);

/* -------------------------------------------------------------------- execution */

struct onnx_session;

/* Called after each node: look at, or change, its outputs.  Used for calibration. */
typedef void (*onnx_hook)(const struct onnx_graph *g, size_t node, float *const *out, void *user);

/*
 * Plans buffers once; running allocates nothing.  @threads: 0 or 1 for the caller's thread alone.
 * @g must outlive the session.  Sessions may run side by side; one session runs in one thread at
 * a time.  Running sets OpenBLAS to one thread for the whole process.
 */
int onnx_session_new(const struct onnx_graph *g, unsigned int threads, struct onnx_session **out,
		     struct hw_error *err);
void onnx_session_free(struct onnx_session *s);
/* Memory for activations and work space, allocated once. */
size_t onnx_session_bytes(const struct onnx_session *s);
void onnx_session_set_hook(struct onnx_session *s, onnx_hook hook, void *user);
/* @in, @out: data of each graph input and output, in order: elements of its type, or its list. */
int onnx_run(struct onnx_session *s, const void *const *in, void *const *out, struct hw_error *err);

#endif
