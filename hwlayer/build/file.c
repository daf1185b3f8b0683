// SPDX-License-Identifier: MIT
/*
 * The HEF around a payload: container version 2, the message of the compiler's own files (legacy
 * layout, hef-format A.3), and the mandatory extension that keeps it away from real chips.
 */
#include <stddef.h>
#include <stdio.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "build/internal.h"
#include "hef.pb-c.h"

#define CONTAINER_HEADER 44u /* version 2 (hef-format 1.2) */
#define MAGIC 0x01484546u
#define MAX_SHMIFO 65536u
#define ROW_MAX 65528u /* core_bytes_per_buffer is a u16 and a multiple of 8 */
#define FORMAT_NHWC 0u
#define FORMAT_NC 2u

/* Everything that one message consists of, freed at once. */
struct arena {
	struct chunk {
		struct chunk *next;
		max_align_t data[];
	} * head;
	bool failed;
};

static void *arena_put(struct arena *a, const void *init, size_t size)
{
	struct chunk *c = malloc(sizeof(*c) + size);

	if (!c) {
		a->failed = true;
		return NULL;
	}
	memcpy(c->data, init, size);
	c->next = a->head;
	a->head = c;
	return c->data;
}

static void arena_free(struct arena *a)
{
	while (a->head) {
		struct chunk *c = a->head;

		a->head = c->next;
		free(c);
	}
}

#define NEW(arena, message) arena_put(arena, &(message), sizeof(message))

static char *arena_text(struct arena *a, const char *s)
{
	return arena_put(a, s, strlen(s) + 1);
}

struct file {
	const struct plan *p;
	const struct split *split;
	struct arena arena;
	struct hw_error *err;
	char group[64];
	char (*names)[HW_NAME_MAX]; /* inputs, then outputs */
	size_t n_actions, cap_actions;
	ProtoHEFAction **actions;
};

/* ------------------------------------------------------------------- names */

static void clean(char *out, size_t size, const char *name)
{
	size_t n = 0;

	for (; *name && n + 1 < size; name++) {
		const char c = *name;
		const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
				  (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';

		out[n++] = fine ? c : '_';
	}
	out[n] = 0;
}

static int value_at(const struct plan *p, size_t i)
{
	const struct onnx_graph *g = p->g;

	return i < g->n_inputs ? g->inputs[i] : g->outputs[i - g->n_inputs];
}

/* Layer names are unique in a group (hef-format 4.12). */
static void make_names(struct file *f)
{
	const struct onnx_graph *g = f->p->g;
	const char *group = f->p->opt->name && *f->p->opt->name ? f->p->opt->name : g->name;

	clean(f->group, sizeof(f->group), group && *group ? group : "network");
	for (size_t i = 0; i < g->n_inputs + g->n_outputs; i++) {
		char name[48];
		bool taken = true;

		clean(name, sizeof(name), g->values[value_at(f->p, i)].name);
		snprintf(f->names[i], HW_NAME_MAX, "%s/%s", f->group, name);
		for (unsigned int again = 1; taken; again++) {
			taken = false;
			for (size_t j = 0; j < i; j++)
				taken |= !strcmp(f->names[i], f->names[j]);
			if (taken)
				snprintf(f->names[i], HW_NAME_MAX, "%s/%s_%u", f->group, name,
					 again);
		}
	}
}

/* ------------------------------------------------------------------ layers */

/* The tensor's own element order as rows x columns x features. */
static int make_shape(struct file *f, const struct onnx_tensor *t, ProtoHEFEdgeLayerBase *b)
{
	uint64_t h = 1, w = 1, c = (uint64_t)t->dim[t->rank - 1];
	unsigned int first = t->rank > 1;

	if (first && t->dim[0] != 1)
		return hw_fail(f->err, -ENOTSUP, "'%s' has a batch dimension of %lld, not 1",
			       t->name, (long long)t->dim[0]);
	b->format = t->rank <= first + 1 ? FORMAT_NC : FORMAT_NHWC;
	if (b->format == FORMAT_NHWC)
		w = (uint64_t)t->dim[t->rank - 2];
	for (unsigned int d = first; d + 2 < t->rank; d++)
		h *= (uint64_t)t->dim[d];
	if (w * c > ROW_MAX) {
		h *= w;
		w = 1;
	}
	if (c > ROW_MAX || h > UINT16_MAX)
		return hw_fail(f->err, -ENOTSUP, "'%s' is too large for one stream", t->name);
	/* such a frame has no periph values (firmware-protocol 5.7, step 2) */
	if (h * w * c % 8 && h * w * c >= UINT16_MAX)
		return hw_fail(f->err, -ENOTSUP,
			       "'%s': a frame of 64 KiB and more must be a multiple of 8 bytes",
			       t->name);
	b->height = b->padded_height = (uint32_t)h;
	b->width = b->padded_width = (uint32_t)w;
	b->features = b->padded_features = (uint32_t)c;
	b->core_bytes_per_buffer = (uint32_t)align_up(w * c, 8);
	b->core_buffers_per_frame = (uint32_t)h;
	return 0;
}

static ProtoHEFEdgeLayerNumericInfo *make_numbers(struct file *f, size_t i)
{
	const struct root *root = &f->p->roots[f->p->values[value_at(f->p, i)].root];
	ProtoHEFEdgeLayerNumericInfo n = PROTO_HEFEDGE_LAYER_NUMERIC_INFO__INIT;

	n.qp_scale = 1;
	n.limvals_max = 255;
	if (i) {
		/* the first input's scales, one per channel, are part of the normalisation */
		n.qp_scale = root->scale[0];
		n.qp_zp = root->zero[0];
		n.limvals_min = (float)-root->zero[0] * root->scale[0];
		n.limvals_max = (float)(255 - root->zero[0]) * root->scale[0];
	}
	return NEW(&f->arena, n);
}

/* As the compiler leaves them on boundary layers (hef-format, message 73). */
static ProtoHEFContextSwitchInformation *make_boundary(struct file *f)
{
	ProtoHEFContextSwitchInformation context = PROTO_HEFCONTEXT_SWITCH_INFORMATION__INIT;

	context.buffers = UINT32_MAX;
	context.cache_id = -1;
	return NEW(&f->arena, context);
}

static ProtoHEFContextSwitchInformation *make_connection(struct file *f,
							 const struct split_port *port)
{
	ProtoHEFContextSwitchInformation context = PROTO_HEFCONTEXT_SWITCH_INFORMATION__INIT;
	ProtoHEFConnectedContextInfo other = PROTO_HEFCONNECTED_CONTEXT_INFO__INIT;
	ProtoHEFConnectedContextInfo *others[1];

	/* Both ends have the same stream index, each in its own context. */
	other.index = port->output ? port->to : port->from;
	other.sys_index = port->stream;
	others[0] = NEW(&f->arena, other);
	context.edge_connection_type =
	    PROTO_HEFEDGE_CONNECTION_TYPE__PROTO__EDGE_CONNECTION_TYPE__INTERMEDIATE;
	context.n_connected_contexts = 1;
	context.connected_contexts = arena_put(&f->arena, others, sizeof(others));
	return NEW(&f->arena, context);
}

static char *layer_name(struct file *f, const struct split_port *port)
{
	char name[HW_NAME_MAX];

	if (!port->inner)
		return arena_text(&f->arena, f->names[port->stream]);
	snprintf(name, sizeof(name), "%s/between_%u", f->group, port->stream);
	return arena_text(&f->arena, name);
}

static int make_layer(struct file *f, const struct split_port *port, ProtoHEFEdgeLayer **out)
{
	const struct onnx_tensor *t = &f->p->g->values[port->value];
	ProtoHEFEdgeLayerBase base = PROTO_HEFEDGE_LAYER_BASE__INIT;
	ProtoHEFResourceIndices index = PROTO_HEFRESOURCE_INDICES__INIT;
	ProtoHEFEdgeLayerInfo info = PROTO_HEFEDGE_LAYER_INFO__INIT;
	ProtoHEFEdgeLayer layer = PROTO_HEFEDGE_LAYER__INIT;
	ProtoHEFResourceIndices *indices[1];
	char *names[1], name[HW_NAME_MAX];
	int r = make_shape(f, t, &base);

	if (r)
		return r;
	base.sys_index = port->stream;
	base.data_bytes = 1;
	base.max_shmifo_size = MAX_SHMIFO;
	indices[0] = NEW(&f->arena, index);
	base.n_buffer_indices = 1;
	base.buffer_indices = arena_put(&f->arena, indices, sizeof(indices));
	clean(name, sizeof(name), t->name);
	names[0] = arena_text(&f->arena, name);
	info.name = layer_name(f, port);
	info.edge_layer_base = NEW(&f->arena, base);
	/* plan_stream_index() counts like value_at() */
	info.numeric_info = port->inner ? NULL : make_numbers(f, port->stream);
	info.n_original_names = 1;
	info.original_names = arena_put(&f->arena, names, sizeof(names));
	layer.direction = (ProtoHEFEdgeLayerDirection)port->output;
	layer.edge_case = PROTO_HEFEDGE_LAYER__EDGE_LAYER_INFO;
	layer.layer_info = NEW(&f->arena, info);
	layer.context_switch_info = port->inner ? make_connection(f, port) : make_boundary(f);
	*out = NEW(&f->arena, layer);
	return f->arena.failed ? -ENOMEM : 0;
}

/* ----------------------------------------------------------------- actions */

static void add_action(struct file *f, ProtoHEFAction__ActionCase which, void *body)
{
	ProtoHEFAction a = PROTO_HEFACTION__INIT;

	a.unique_id = (uint32_t)f->n_actions + 1;
	a.action_case = which;
	a.none = body; /* any member of the union: they are all pointers */
	if (f->n_actions < f->cap_actions)
		f->actions[f->n_actions++] = NEW(&f->arena, a);
}

static void add_lcu(struct file *f, bool on, uint32_t lcu)
{
	ProtoHEFActionEnableLcu enable = PROTO_HEFACTION_ENABLE_LCU__INIT;
	ProtoHEFActionDisableLcu disable = PROTO_HEFACTION_DISABLE_LCU__INIT;

	enable.lcu_index = disable.lcu_index = lcu;
	enable.lcu_kernel_done_address = 1;
	enable.lcu_kernel_done_count = 2;
	if (on)
		add_action(f, PROTO_HEFACTION__ACTION_ENABLE_LCU, NEW(&f->arena, enable));
	else
		add_action(f, PROTO_HEFACTION__ACTION_DISABLE_LCU, NEW(&f->arena, disable));
}

/*
 * Of each channel's pieces of context @k the run number @run of @runs, channel 0 first.  The CCW
 * block has the contexts one after the other.
 */
static void add_ccw(struct file *f, size_t k, size_t run, size_t runs)
{
	const struct ccw *ccw = &f->split->part[k].ccw;
	size_t base = 0, block = 0;

	for (size_t i = 0; i < k; i++)
		block += f->split->part[i].ccw.block.len;

	for (uint32_t channel = 0; channel < 2; channel++) {
		const size_t n = ccw->per_channel[channel];

		for (size_t i = n * run / runs; i < n * (run + 1) / runs; i++) {
			const struct ccw_piece *piece = &ccw->pieces[base + i];
			ProtoHEFActionWriteDataCcwPtr w = PROTO_HEFACTION_WRITE_DATA_CCW_PTR__INIT;

			w.offset = block + piece->offset;
			w.size = piece->size;
			w.cfg_channel_index = piece->channel;
			add_action(f, PROTO_HEFACTION__ACTION_WRITE_DATA_CCW_PTR,
				   NEW(&f->arena, w));
		}
		base += n;
	}
}

static void add_wait_config(struct file *f)
{
	for (uint32_t channel = 0; channel < 2; channel++) {
		ProtoHEFActionWaitForModuleConfigDone w =
		    PROTO_HEFACTION_WAIT_FOR_MODULE_CONFIG_DONE__INIT;

		w.index = channel;
		add_action(f, PROTO_HEFACTION__ACTION_WAIT_FOR_MODULE_CONFIG_DONE,
			   NEW(&f->arena, w));
	}
}

static void add_dataflow(struct file *f, const struct split_part *part)
{
	for (size_t i = 0; i < part->n_ports; i++) {
		ProtoHEFActionAllowInputDataflow a = PROTO_HEFACTION_ALLOW_INPUT_DATAFLOW__INIT;

		if (part->ports[i].output)
			continue;
		a.sys_index = part->ports[i].stream;
		add_action(f, PROTO_HEFACTION__ACTION_ALLOW_INPUT_DATAFLOW, NEW(&f->arena, a));
	}
}

static ProtoHEFOperation *make_operation(struct file *f, ProtoHEFTrigger trigger, size_t first)
{
	ProtoHEFOperation op = PROTO_HEFOPERATION__INIT;

	op.trigger = NEW(&f->arena, trigger);
	op.n_actions = f->n_actions - first;
	op.actions = f->actions + first;
	return NEW(&f->arena, op);
}

/* One that starts at once, of the actions from @first on. */
static ProtoHEFOperation *make_start(struct file *f, size_t first)
{
	ProtoHEFTriggerNone none = PROTO_HEFTRIGGER_NONE__INIT;
	ProtoHEFTrigger trigger = PROTO_HEFTRIGGER__INIT;

	trigger.trigger_case = PROTO_HEFTRIGGER__TRIGGER_TRIGGER_NONE;
	trigger.trigger_none = NEW(&f->arena, none);
	return make_operation(f, trigger, first);
}

/* One that does nothing, once stream @stream is out. */
static ProtoHEFOperation *make_wait(struct file *f, uint8_t stream)
{
	ProtoHEFTriggerAllDataWasSentToHostPCIe sent =
	    PROTO_HEFTRIGGER_ALL_DATA_WAS_SENT_TO_HOST_PCIE__INIT;
	ProtoHEFTrigger trigger = PROTO_HEFTRIGGER__INIT;
	ProtoHEFActionNone none = PROTO_HEFACTION_NONE__INIT;
	const size_t first = f->n_actions;

	sent.shmifo_index = stream;
	trigger.trigger_case = PROTO_HEFTRIGGER__TRIGGER_TRIGGER_ALL_DATA_WAS_SENT;
	trigger.trigger_all_data_was_sent = NEW(&f->arena, sent);
	add_action(f, PROTO_HEFACTION__ACTION_NONE, NEW(&f->arena, none));
	return make_operation(f, trigger, first);
}

/*
 * The order of the compiler's files (hef-format A.3), in two runs of configuration data.  Several
 * contexts bring their own.
 */
static ProtoHEFPreliminaryConfig *make_preliminary(struct file *f)
{
	ProtoHEFPreliminaryConfig config = PROTO_HEFPRELIMINARY_CONFIG__INIT;
	const bool whole = f->split->n == 1;
	ProtoHEFOperation *ops[1];

	for (uint32_t run = 0; run < 2; run++) {
		add_lcu(f, false, run);
		if (whole)
			add_ccw(f, 0, run, 2);
	}
	if (whole) {
		add_wait_config(f);
		add_dataflow(f, &f->split->part[0]);
	}
	for (uint32_t lcu = 0; lcu < 2; lcu++)
		add_lcu(f, true, lcu);
	ops[0] = make_start(f, 0);
	config.n_operation = 1;
	config.operation = arena_put(&f->arena, ops, sizeof(ops));
	return NEW(&f->arena, config);
}

static int make_context(struct file *f, size_t k, ProtoHEFContext **out)
{
	const struct split_part *part = &f->split->part[k];
	const size_t n = part->n_ports, first = f->n_actions;
	ProtoHEFContextMetadata meta = PROTO_HEFCONTEXT_METADATA__INIT;
	ProtoHEFContext context = PROTO_HEFCONTEXT__INIT;
	ProtoHEFEdgeLayer *layers[PAYLOAD_PORTS_MAX];
	ProtoHEFOperation *ops[1 + PAYLOAD_PORTS_MAX];
	size_t n_ops = 0;

	for (size_t i = 0; i < n; i++) {
		int r = make_layer(f, &part->ports[i], &layers[i]);

		if (r)
			return r;
	}
	if (f->split->n > 1) {
		add_ccw(f, k, 0, 1);
		add_wait_config(f);
	}
	add_dataflow(f, part);
	ops[n_ops++] = make_start(f, first);
	for (size_t i = 0; f->split->n > 1 && i < n; i++) {
		if (part->ports[i].output)
			ops[n_ops++] = make_wait(f, part->ports[i].stream);
	}
	meta.n_edge_layers = n;
	meta.edge_layers = arena_put(&f->arena, layers, n * sizeof(layers[0]));
	context.metadata = NEW(&f->arena, meta);
	context.n_operations = n_ops;
	context.operations = arena_put(&f->arena, ops, n_ops * sizeof(ops[0]));
	*out = NEW(&f->arena, context);
	return 0;
}

/* -------------------------------------------------------------- the message */

static void make_extensions(struct file *f, ProtoHEFHef *hef)
{
	/* what the compiler's files for this chip carry (3.1), then ours */
	const struct {
		uint32_t index;
		const char *name;
	} needed[] =
	    {
		{0, "ABBALE"},
		{3, "PADDED_DDR_BUFFERS"},
		/* an empty preliminary context has nothing to run; several contexts say so */
		{f->split->n > 1 ? 4 : 12, f->split->n > 1 ? "IS_MULTI_CONTEXTS" : "KO_RUN_ASAP"},
		{26, "PERIPH_CALCULATION_IN_HAILORT"},
		{PAYLOAD_HEF_EXTENSION, PAYLOAD_HEF_EXTENSION_NAME},
	    },
	  optional[] = {
	      {8, "MULTI_NETWORK_VARIABLE_BATCH_SIZE"},
	      {11, "HW_PADDING"},
	  };
	ProtoHEFExtension *must[ARRAY_SIZE(needed)];
	ProtoHEFOptionalExtension *may[ARRAY_SIZE(optional)];

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		ProtoHEFExtension e = PROTO_HEFEXTENSION__INIT;

		e.type_index = needed[i].index;
		e.name = arena_text(&f->arena, needed[i].name);
		must[i] = NEW(&f->arena, e);
	}
	for (size_t i = 0; i < ARRAY_SIZE(optional); i++) {
		ProtoHEFOptionalExtension e = PROTO_HEFOPTIONAL_EXTENSION__INIT;

		e.type_index = optional[i].index;
		e.name = arena_text(&f->arena, optional[i].name);
		may[i] = NEW(&f->arena, e);
	}
	hef->n_extensions = ARRAY_SIZE(needed);
	hef->extensions = arena_put(&f->arena, must, sizeof(must));
	hef->n_optional_extensions = ARRAY_SIZE(optional);
	hef->optional_extensions = arena_put(&f->arena, may, sizeof(may));
}

static int make_group(struct file *f, ProtoHEFNetworkGroup **out)
{
	const struct onnx_graph *g = f->p->g;
	ProtoHEFNetworkGroupMetadata meta = PROTO_HEFNETWORK_GROUP_METADATA__INIT;
	ProtoHEFNetworkGroup group = PROTO_HEFNETWORK_GROUP__INIT;
	ProtoHEFContext *contexts[BUILD_CONTEXTS_MAX];
	char *networks[1], *sorted[PAYLOAD_PORTS_MAX];
	int r = 0;

	meta.network_group_name = arena_text(&f->arena, f->group);
	meta.cfg_channels_count = 2;
	group.network_group_metadata = NEW(&f->arena, meta);
	group.preliminary_config = make_preliminary(f);
	for (size_t k = 0; !r && k < f->split->n; k++)
		r = make_context(f, k, &contexts[k]);
	if (r)
		return r;
	group.n_contexts = f->split->n;
	group.contexts = arena_put(&f->arena, contexts, f->split->n * sizeof(contexts[0]));
	for (size_t i = 0; i < g->n_outputs; i++)
		sorted[i] = arena_text(&f->arena, f->names[g->n_inputs + i]);
	group.n_sorted_outputs_order = g->n_outputs;
	group.sorted_outputs_order = arena_put(&f->arena, sorted, g->n_outputs * sizeof(sorted[0]));
	networks[0] = arena_text(&f->arena, f->group);
	group.n_networks_names = 1;
	group.networks_names = arena_put(&f->arena, networks, sizeof(networks));
	*out = NEW(&f->arena, group);
	return 0;
}

/*
 * A Hailo-8L takes only files for its own architecture, with a variant for its cluster layout; a
 * Hailo-8 takes those as well (hef-format 3.4, 3.5).  So the file is one for the 8L, and @variant
 * serves both layouts that are known: the core of a software chip has no clusters to spread over.
 */
static ProtoHEFNetworkGroup *make_variants(struct file *f, ProtoHEFNetworkGroup *variant)
{
	static const uint32_t layouts[] = {0x33, 0xcc};
	ProtoHEFNetworkGroup outer = PROTO_HEFNETWORK_GROUP__INIT;
	ProtoHEFPartialNetworkGroup *parts[ARRAY_SIZE(layouts)];

	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		ProtoHEFPhysicalLayout layout = PROTO_HEFPHYSICAL_LAYOUT__INIT;
		ProtoHEFPartialNetworkGroup part = PROTO_HEFPARTIAL_NETWORK_GROUP__INIT;

		layout.partial_clusters_layout_bitmap = layouts[i];
		part.layout = NEW(&f->arena, layout);
		part.network_group = variant;
		parts[i] = NEW(&f->arena, part);
	}
	outer.n_partial_network_groups = ARRAY_SIZE(layouts);
	outer.partial_network_groups = arena_put(&f->arena, parts, sizeof(parts));
	return NEW(&f->arena, outer);
}

static int make_file(struct file *f, uint8_t **out, size_t *len)
{
	ProtoHEFHeader header = PROTO_HEFHEADER__INIT;
	ProtoHEFHef hef = PROTO_HEFHEF__INIT;
	ProtoHEFNetworkGroup *group, *groups[1];
	size_t ccws = 0, proto, at;
	uint8_t *p;
	int r;

	header.hw_arch = PROTO_HEFHW_ARCH__PROTO__HW_ARCH__HAILO8L;
	header.version = 5;
	header.sdk_version = arena_text(&f->arena, "hailo-inference " HW_VERSION);
	hef.header = NEW(&f->arena, header);
	make_extensions(f, &hef);
	r = make_group(f, &group);
	if (r)
		return r;
	groups[0] = make_variants(f, group);
	hef.n_network_groups = 1;
	hef.network_groups = groups;
	if (f->arena.failed)
		return -ENOMEM;
	for (size_t k = 0; k < f->split->n; k++)
		ccws += f->split->part[k].ccw.block.len;
	proto = proto_hefhef__get_packed_size(&hef);
	p = malloc(CONTAINER_HEADER + proto + ccws);
	if (!p)
		return -ENOMEM;
	proto_hefhef__pack(&hef, p + CONTAINER_HEADER);
	at = CONTAINER_HEADER + proto;
	for (size_t k = 0; k < f->split->n; k++) {
		const struct buf *block = &f->split->part[k].ccw.block;

		memcpy(p + at, block->ptr, block->len);
		at += block->len;
	}
	memset(p, 0, CONTAINER_HEADER);
	put_be32(p, MAGIC);
	put_be32(p + 4, 2);
	put_be32(p + 8, (uint32_t)proto);
	put_be64(p + 12, XXH3_64bits(p + CONTAINER_HEADER, proto + ccws));
	put_be64(p + 20, ccws);
	*out = p;
	*len = CONTAINER_HEADER + proto + ccws;
	return 0;
}

int file_write(const struct plan *p, const struct split *split, uint8_t **out, size_t *len,
	       struct hw_error *err)
{
	struct file f = {
	    .p = p,
	    .split = split,
	    .err = err,
	    .cap_actions = 8,
	    .names = calloc(p->g->n_inputs + p->g->n_outputs, sizeof(*f.names)),
	};
	int r = -ENOMEM;

	/* The inputs of a single context flow in the preliminary one, too. */
	for (size_t k = 0; k < split->n; k++)
		f.cap_actions += split->part[k].ccw.n + 2 * split->part[k].n_ports + 2;
	f.actions = calloc(f.cap_actions, sizeof(ProtoHEFAction *));
	if (f.names && f.actions) {
		make_names(&f);
		r = make_file(&f, out, len);
	}
	free(f.names);
	free(f.actions);
	arena_free(&f.arena);
	return r;
}
