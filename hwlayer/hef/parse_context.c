// SPDX-License-Identifier: MIT
/* Operations of one context flattened into one action list (hef-format 4.6 to 4.9). */
#include <inttypes.h>

#include "hef/parse.h"

#define SLEEP_MIN_US 1000

/* The action list and burst lists of one context while they grow. */
struct builder {
	struct parse *p;
	struct buf actions;
	struct buf bursts[256];
};

static void emit(struct builder *b, const struct hef_action *a)
{
	buf_put(&b->actions, a, sizeof(*a));
}

/* 4.8, last line: network indexes count only with optional extension 8 */
static uint8_t network_index(const struct parse *p, uint32_t value)
{
	return p->hef->features.multi_network ? (uint8_t)value : 0;
}

/* 4.7 */
static int parse_trigger(struct builder *b, const ProtoHEFTrigger *t)
{
	struct hef_action a = {0};
	struct parse *p = b->p;
	int r = 0;

	switch (t ? t->trigger_case : PROTO_HEFTRIGGER__TRIGGER__NOT_SET) {
	case PROTO_HEFTRIGGER__TRIGGER_TRIGGER_NONE:
		a.kind = HEF_ACT_NONE;
		break;
	case PROTO_HEFTRIGGER__TRIGGER_TRIGGER_LCU:
		r = parse_fits(p, "cluster_index", t->trigger_lcu->cluster_index, UINT8_MAX);
		if (!r)
			r = parse_fits(p, "lcu_index", t->trigger_lcu->lcu_index, UINT8_MAX);
		a.kind = HEF_ACT_WAIT_LCU;
		a.lcu.cluster = (uint8_t)t->trigger_lcu->cluster_index;
		a.lcu.lcu = (uint8_t)t->trigger_lcu->lcu_index;
		break;
	case PROTO_HEFTRIGGER__TRIGGER_TRIGGER_ALL_DATA_WAS_SENT:
		r = parse_fits(p, "shmifo_index", t->trigger_all_data_was_sent->shmifo_index,
			       UINT8_MAX);
		a.kind = HEF_ACT_WAIT_OUTPUT_DONE;
		a.flow.stream = (uint8_t)t->trigger_all_data_was_sent->shmifo_index;
		break;
	case PROTO_HEFTRIGGER__TRIGGER_TRIGGER_DMA_IDLE:
		r = parse_fits(p, "shmifo_index", t->trigger_dma_idle->shmifo_index, UINT8_MAX);
		a.kind = HEF_ACT_WAIT_DMA_IDLE;
		a.flow.stream = (uint8_t)t->trigger_dma_idle->shmifo_index;
		break;
	case PROTO_HEFTRIGGER__TRIGGER_TRIGGER_NMS: {
		const ProtoHEFTriggerNms *nms = t->trigger_nms;
		const struct {
			const char *what;
			uint32_t value;
			uint8_t *to;
		} part[] = {
		    {"aggregator_index", nms->aggregator_index, &a.nms_wait.aggregator},
		    {"pred_cluster_ob_index", nms->pred_cluster_ob_index, &a.nms_wait.pred_ob},
		    {"pred_cluster_ob_cluster_index", nms->pred_cluster_ob_cluster_index,
		     &a.nms_wait.pred_cluster},
		    {"pred_cluster_ob_interface", nms->pred_cluster_ob_interface,
		     &a.nms_wait.pred_interface},
		    {"succ_prepost_ob_index", nms->succ_prepost_ob_index, &a.nms_wait.succ_ob},
		    {"succ_prepost_ob_interface", nms->succ_prepost_ob_interface,
		     &a.nms_wait.succ_interface},
		};

		a.kind = HEF_ACT_WAIT_NMS;
		for (size_t i = 0; i < ARRAY_SIZE(part) && !r; i++) {
			r = parse_fits(p, part[i].what, part[i].value, UINT8_MAX);
			*part[i].to = (uint8_t)part[i].value;
		}
		break;
	}
	case PROTO_HEFTRIGGER__TRIGGER_TRIGGER_ALL_DATA_WAS_RECEIVED:
		return parse_refuse(p, HEF_NOT_IMPLEMENTED,
				    "waiting for all data to be received is not implemented");
	default:
		return parse_refuse(p, HEF_INVALID_HEF, "it has none, or one of an unknown kind");
	}
	if (!r)
		emit(b, &a);
	return r;
}

static int parse_sequencer(struct builder *b, const ProtoHEFActionEnableSequencer *s)
{
	const InitialL3 *l3 = s->initial_l3_info;
	struct hef_action a = {.kind = HEF_ACT_ENABLE_SEQUENCER};
	int r = parse_fits(b->p, "cluster_index", s->cluster_index, UINT8_MAX);

	if (r < 0)
		return r;
	a.sequencer.cluster = (uint8_t)s->cluster_index;
	if (l3 && l3->includes_initial_l3_info) {
		r = parse_fits(b->p, "initial_l3_index", l3->initial_l3_index, UINT8_MAX);
		if (!r)
			r = parse_fits(b->p, "initial_l3_offset", l3->initial_l3_offset,
				       UINT16_MAX);
		if (r < 0)
			return r;
		a.sequencer.l3_cut = (uint8_t)l3->initial_l3_index;
		a.sequencer.l3_offset = (uint16_t)l3->initial_l3_offset;
	} else {
		a.sequencer.l3_cut = FIELD_GET(GENMASK(6, 0), s->initial_l3_legacy);
		a.sequencer.l3_offset =
		    (uint16_t)(FIELD_GET(GENMASK(18, 7), s->initial_l3_legacy) * 8);
	}
	a.sequencer.apu = s->active_apu_bitmap;
	a.sequencer.ia = s->active_ia_bitmap;
	a.sequencer.sc = s->active_sc_bitmap;
	a.sequencer.l2 = s->active_l2_bitmap;
	a.sequencer.l2_offset_0 = s->l2_write_0 | (uint64_t)s->l2_write_1 << 32;
	a.sequencer.l2_offset_1 = s->l2_write_2 | (uint64_t)s->l2_write_3 << 32;
	emit(b, &a);
	return 0;
}

static int parse_lcu(struct builder *b, enum hef_action_kind kind, uint32_t cluster, uint32_t lcu,
		     uint32_t network, uint32_t done_address, uint32_t done_count)
{
	struct hef_action a = {.kind = kind};
	int r = parse_fits(b->p, "cluster_index", cluster, UINT8_MAX);

	if (!r)
		r = parse_fits(b->p, "lcu_index", lcu, UINT8_MAX);
	if (!r)
		r = parse_fits(b->p, "lcu_kernel_done_address", done_address, UINT16_MAX);
	if (r < 0)
		return r;
	if (kind == HEF_ACT_ENABLE_LCU_NON_DEFAULT && done_address == 1 && done_count == 2)
		a.kind = HEF_ACT_ENABLE_LCU_DEFAULT;
	a.lcu.cluster = (uint8_t)cluster;
	a.lcu.lcu = (uint8_t)lcu;
	a.lcu.network = network_index(b->p, network);
	a.lcu.done_address = (uint16_t)done_address;
	a.lcu.done_count = done_count;
	emit(b, &a);
	return 0;
}

static int parse_enable_nms(struct builder *b, const ProtoHEFActionEnableNMS *n)
{
	struct hef_action a = {.kind = HEF_ACT_ENABLE_NMS};
	int r = parse_fits(b->p, "nms_unit_index", n->nms_unit_index, UINT8_MAX);

	if (!r)
		r = parse_fits(b->p, "network_index", n->network_index, UINT8_MAX);
	if (!r)
		r = parse_fits(b->p, "division_factor", n->division_factor, UINT8_MAX);
	if (r < 0)
		return r;
	if (!n->number_of_classes || !n->burst_size)
		return parse_refuse(b->p, HEF_INVALID_HEF,
				    "NMS with %" PRIu32 " classes in bursts of %" PRIu32,
				    n->number_of_classes, n->burst_size);
	a.nms.unit = (uint8_t)n->nms_unit_index;
	a.nms.network = network_index(b->p, n->network_index);
	a.nms.classes = (uint16_t)n->number_of_classes;
	a.nms.burst_size = (uint16_t)n->burst_size;
	a.nms.division_factor = n->division_factor ? (uint8_t)n->division_factor : 1;
	emit(b, &a);
	return 0;
}

static int parse_write(struct builder *b, const ProtoHEFActionWriteDataByType *w)
{
	struct hef_action a = {.kind = HEF_ACT_WRITE_DATA_BY_TYPE};
	int r = parse_fits(b->p, "the address of a register write", w->address, UINT32_MAX);

	if (!r)
		r = parse_fits(b->p, "the shift of a register write", w->shift, UINT8_MAX);
	if (!r)
		r = parse_fits(b->p, "the length of a register write", w->data.len, 4);
	if (r < 0)
		return r;
	if (w->address % 4)
		return parse_refuse(b->p, HEF_INVALID_HEF,
				    "register address 0x%" PRIx64 " is not a multiple of 4",
				    w->address);
	if (w->data_type != PROTO_HEFWRITE_DATA_TYPE__DATA_FROM_ACTION &&
	    w->data_type != PROTO_HEFWRITE_DATA_TYPE__BATCH_SIZE)
		return parse_refuse(b->p, HEF_INVALID_HEF,
				    "a register write takes its value from an unknown place (%d)",
				    (int)w->data_type);
	a.write.address = (uint32_t)w->address;
	a.write.type = (uint8_t)w->data_type;
	for (size_t i = 0; i < w->data.len; i++)
		a.write.data |= (uint32_t)w->data.data[i] << (8 * i);
	a.write.mask = w->mask;
	a.write.shift = (uint8_t)w->shift;
	a.write.network = network_index(b->p, w->network_index);
	emit(b, &a);
	return 0;
}

static int parse_debug(struct builder *b, const ProtoHEFActionDebug *d)
{
	struct hef_action a = {.kind = HEF_ACT_HALT};

	if (d->action_case == PROTO_HEFACTION_DEBUG__ACTION_SLEEP) {
		uint64_t us = d->sleep->duration_in_usec;

		if (us < SLEEP_MIN_US)
			return parse_refuse(b->p, HEF_INVALID_HEF,
					    "a sleep of %" PRIu64 " us is below %d us", us,
					    SLEEP_MIN_US);
		a.kind = HEF_ACT_SLEEP;
		a.sleep_us = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
	} else if (d->action_case != PROTO_HEFACTION_DEBUG__ACTION_HALT) {
		return parse_refuse(b->p, HEF_INVALID_HEF,
				    "a debug action that neither sleeps nor halts (type %d)",
				    (int)d->type);
	}
	emit(b, &a);
	return 0;
}

static int parse_action(struct builder *b, const ProtoHEFAction *x)
{
	struct hef_action a = {0};
	int r;

	switch (x->action_case) {
	case PROTO_HEFACTION__ACTION_NONE:
		a.kind = HEF_ACT_NONE;
		break;
	case PROTO_HEFACTION__ACTION_ENABLE_LCU:
		return parse_lcu(b, HEF_ACT_ENABLE_LCU_NON_DEFAULT, x->enable_lcu->cluster_index,
				 x->enable_lcu->lcu_index, x->enable_lcu->network_index,
				 x->enable_lcu->lcu_kernel_done_address,
				 x->enable_lcu->lcu_kernel_done_count);
	case PROTO_HEFACTION__ACTION_DISABLE_LCU:
		return parse_lcu(b, HEF_ACT_DISABLE_LCU, x->disable_lcu->cluster_index,
				 x->disable_lcu->lcu_index, 0, 0, 0);
	case PROTO_HEFACTION__ACTION_SWITCH_LCU_BATCH:
		return parse_lcu(b, HEF_ACT_SWITCH_LCU_BATCH, x->switch_lcu_batch->cluster_index,
				 x->switch_lcu_batch->lcu_index, x->switch_lcu_batch->network_index,
				 0, 0);
	case PROTO_HEFACTION__ACTION_ENABLE_SEQUENCER:
		return parse_sequencer(b, x->enable_sequencer);
	case PROTO_HEFACTION__ACTION_WAIT_FOR_SEQEUNCER:
		r = parse_fits(b->p, "cluster_index", x->wait_for_seqeuncer->cluster_index,
			       UINT8_MAX);
		if (r < 0)
			return r;
		a.kind = HEF_ACT_WAIT_FOR_SEQUENCER;
		a.sequencer.cluster = (uint8_t)x->wait_for_seqeuncer->cluster_index;
		break;
	case PROTO_HEFACTION__ACTION_ALLOW_INPUT_DATAFLOW:
		r = parse_fits(b->p, "sys_index", x->allow_input_dataflow->sys_index, UINT8_MAX);
		if (r < 0)
			return r;
		a.kind = HEF_ACT_ALLOW_INPUT_DATAFLOW;
		a.flow.stream = (uint8_t)x->allow_input_dataflow->sys_index;
		break;
	case PROTO_HEFACTION__ACTION_WAIT_FOR_MODULE_CONFIG_DONE:
		r = parse_fits(b->p, "module index", x->wait_for_module_config_done->index,
			       UINT8_MAX);
		if (r < 0)
			return r;
		a.kind = HEF_ACT_WAIT_FOR_MODULE_CONFIG_DONE;
		a.module.index = (uint8_t)x->wait_for_module_config_done->index;
		break;
	case PROTO_HEFACTION__ACTION_ENABLE_NMS:
		return parse_enable_nms(b, x->enable_nms);
	case PROTO_HEFACTION__ACTION_WRITE_DATA_BY_TYPE:
		return parse_write(b, x->write_data_by_type);
	case PROTO_HEFACTION__ACTION_DEBUG:
		return parse_debug(b, x->debug);
	default:
		return parse_refuse(b->p, HEF_INTERNAL_FAILURE,
				    "action kind %d is not one that a PCIe chip executes",
				    (int)x->action_case);
	}
	emit(b, &a);
	return 0;
}

/* -------------------------------------------------- configuration words */

static bool is_ccw(const ProtoHEFAction *x)
{
	return x->action_case == PROTO_HEFACTION__ACTION_WRITE_DATA_CCW ||
	       x->action_case == PROTO_HEFACTION__ACTION_WRITE_DATA_CCW_PTR;
}

static uint32_t ccw_channel(const ProtoHEFAction *x)
{
	if (x->action_case == PROTO_HEFACTION__ACTION_WRITE_DATA_CCW)
		return x->write_data_ccw->cfg_channel_index;
	return x->write_data_ccw_ptr->cfg_channel_index;
}

static int ccw_bytes(struct parse *p, const ProtoHEFAction *x, struct span *out)
{
	bool pointer = x->action_case == PROTO_HEFACTION__ACTION_WRITE_DATA_CCW_PTR;
	const ProtoHEFActionWriteDataCcwPtr *at = x->write_data_ccw_ptr;
	struct span rest = p->ccws, before;

	if (pointer != (p->hef->version != 0))
		return parse_refuse(p, HEF_INVALID_HEF,
				    "configuration words %s do not belong into a file of container "
				    "version %" PRIu32,
				    pointer ? "behind the message" : "inside the message",
				    p->hef->version);
	if (!pointer) {
		*out = (struct span){x->write_data_ccw->data.data, x->write_data_ccw->data.len};
		return 0;
	}
	/* The reference finds this out while configuring (1.7). */
	if (at->offset > rest.len || span_take(&rest, at->offset, &before) ||
	    span_take(&rest, at->size, out))
		return parse_refuse(p, HEF_FILE_CORRUPTED,
				    "configuration words at %" PRIu64 "+%" PRIu32
				    " lie outside the file's %zu bytes of them",
				    at->offset, at->size, p->ccws.len);
	return 0;
}

/* What one run of CCW actions holds for one channel. */
struct run {
	size_t n;
	struct hef_ccw ccw;
};

static int check_run(struct parse *p, ProtoHEFAction **actions, size_t n, struct run *per_channel,
		     uint8_t *seen, size_t *n_seen)
{
	for (size_t i = 0; i < n; i++, p->action++) {
		uint32_t channel = ccw_channel(actions[i]);
		struct span bytes;
		int r;

		r = ccw_bytes(p, actions[i], &bytes);
		if (!r)
			r = parse_fits(p, "cfg_channel_index", channel, UINT8_MAX);
		if (r < 0)
			return r;
		if (per_channel[channel].n++ == 0)
			seen[(*n_seen)++] = (uint8_t)channel;
	}
	return 0;
}

static int compare_channels(const void *a, const void *b)
{
	return *(const uint8_t *)a - *(const uint8_t *)b;
}

/*
 * A maximal run of consecutive CCW actions: one write for each channel.  Order of the channels:
 * ascending in version 0; otherwise the reverse of their first appearance, which is what the
 * golden recordings show of the reference's hash map (4.9, protocol 5.3).
 */
static int parse_ccw_run(struct builder *b, ProtoHEFAction **actions, size_t n)
{
	struct run per_channel[256] = {0};
	struct parse *p = b->p;
	uint8_t seen[256];
	size_t n_seen = 0;
	long first = p->action;
	int r;

	r = check_run(p, actions, n, per_channel, seen, &n_seen);
	if (r < 0)
		return r;
	p->action = first;
	if (p->hef->version == 0)
		qsort(seen, n_seen, sizeof(*seen), compare_channels);
	for (size_t i = 0; i < n_seen; i++) {
		struct run *run = &per_channel[seen[i]];

		r = parse_fits(p, "the number of configuration writes merged into one", run->n,
			       UINT16_MAX);
		if (r < 0)
			return r;
		run->ccw.channel = seen[i];
		run->ccw.pieces = parse_alloc(p, run->n, sizeof(*run->ccw.pieces));
		if (!run->ccw.pieces)
			return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		struct hef_ccw *ccw = &per_channel[ccw_channel(actions[i])].ccw;
		struct span *piece = &ccw->pieces[ccw->n_pieces++];

		r = ccw_bytes(p, actions[i], piece);
		if (r < 0)
			return r;
		ccw->bytes += piece->len;
		if (p->hef->version != 0)
			buf_put(&b->bursts[ccw->channel], &(uint32_t){(uint32_t)piece->len},
				sizeof(uint32_t));
	}
	for (size_t i = 0; i < n_seen; i++) {
		size_t at = p->hef->version == 0 ? i : n_seen - 1 - i;
		struct hef_action a = {.kind = HEF_ACT_WRITE_CCW, .ccw = per_channel[seen[at]].ccw};

		r = parse_fits(p, "one configuration burst", a.ccw.bytes, UINT32_MAX);
		if (r < 0)
			return r;
		if (p->hef->version == 0)
			buf_put(&b->bursts[a.ccw.channel], &(uint32_t){(uint32_t)a.ccw.bytes},
				sizeof(uint32_t));
		emit(b, &a);
	}
	return 0;
}

static int parse_operation(struct builder *b, const ProtoHEFOperation *op)
{
	struct parse *p = b->p;
	int r;

	/* 7.4: the reference says so at the first operation it meets */
	if (p->hef->features.shared_config && (p->hef->version == 1 || p->hef->version == 2))
		return parse_refuse(p, HEF_NOT_SUPPORTED,
				    "extension 32 (SHARED_CONFIG) does not go with container "
				    "version %" PRIu32,
				    p->hef->version);
	p->action = -1;
	r = parse_trigger(b, op->trigger);
	for (size_t i = 0; i < op->n_actions && !r;) {
		size_t n = 0;

		p->action = (long)i;
		while (i + n < op->n_actions && is_ccw(op->actions[i + n]))
			n++;
		if (n) {
			r = parse_ccw_run(b, op->actions + i, n);
			i += n;
		} else {
			r = parse_action(b, op->actions[i++]);
		}
	}
	return r;
}

int parse_operations(struct parse *p, ProtoHEFOperation **ops, size_t n, struct hef_context *out)
{
	struct builder b = {.p = p};
	int r = 0;

	for (size_t i = 0; i < n && !r; i++) {
		p->operation = (long)i;
		r = parse_operation(&b, ops[i]);
	}
	if (r < 0)
		goto out;
	p->operation = -1;
	out->n_actions = b.actions.len / sizeof(struct hef_action);
	r = parse_keep(p, &b.actions, &out->actions);
	for (size_t c = 0; c < ARRAY_SIZE(b.bursts) && !r; c++) {
		if (!b.bursts[c].len && !b.bursts[c].failed)
			continue;
		out->bursts[c].n = b.bursts[c].len / sizeof(uint32_t);
		r = parse_keep(p, &b.bursts[c], &out->bursts[c].sizes);
	}
out:
	buf_free(&b.actions);
	for (size_t c = 0; c < ARRAY_SIZE(b.bursts); c++)
		buf_free(&b.bursts[c]);
	return r;
}
