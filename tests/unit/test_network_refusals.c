// SPDX-License-Identifier: MIT
/* Networks that cannot be configured (hef-format 4.12 and the limits of the protocol). */
#include "unit/network_nets.h"

static struct hef_layer crowd[20];

static void r_batch(struct example *e)
{
	(void)e;
}

static void r_no_context(struct example *e)
{
	e->op.n_contexts = 0;
}

static void r_many_contexts(struct example *e)
{
	e->op.n_contexts = 1022;
}

static void r_config_channels(struct example *e)
{
	e->op.cfg_channels = 5;
}

static void r_networks(struct example *e)
{
	e->hef.features.multi_network = true;
	e->op.n_networks = 9;
}

static void r_no_input(struct example *e)
{
	e->contexts[0].layers++;
	e->contexts[0].n_layers = 1;
}

static void r_no_output(struct example *e)
{
	e->contexts[0].n_layers = 1;
}

static void r_same_stream(struct example *e)
{
	e->layers[0][1].stream = 0;
}

static void r_channels(struct example *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(crowd); i++) {
		crowd[i] = input_layer;
		crowd[i].stream = (uint8_t)(i + 20);
	}
	crowd[0] = output_layer;
	e->contexts[0].layers = crowd;
	e->contexts[0].n_layers = 17; /* 16 inputs beside the config channel */
}

static void r_cache(struct example *e)
{
	e->layers[0][1].kind = HEF_EDGE_CACHE;
}

static void r_rows_unpadded(struct example *e)
{
	add_rows(e);
	e->hef.features.padded_ddr = false;
}

static void r_rows_alone(struct example *e)
{
	add_rows(e);
	e->layers[0][3].stream = 9;
}

static void r_rows_odd(struct example *e)
{
	add_rows(e);
	e->layers[0][2].core_bytes_per_buffer = 1000;
}

static void r_config_gap(struct example *e)
{
	e->op.cfg_channels = 2;
	e->ctx[0][1].ccw.channel = 1; /* and none for channel 0 */
}

static void r_config_beyond(struct example *e)
{
	e->ctx[0][2] = ccw(&e->pieces[2], 1);
	e->ctx[0][2].ccw.channel = 1;
}

static void r_config_empty(struct example *e)
{
	e->ctx[0][1].ccw.bytes = 0;
}

static void r_config_long(struct example *e)
{
	e->ctx[0][1].ccw.bytes = 4096;
}

static void r_transfer(struct example *e)
{
	e->layers[0][0].hw_height = 0;
}

static void r_peer(struct example *e)
{
	e->layers[1][0].peer_stream = 9;
}

static void r_peer_size(struct example *e)
{
	e->layers[1][0].hw_width = 376;
}

static void r_peer_order(struct example *e)
{
	/* context 1 writes what context 0 reads */
	e->layers[0][1].input = true;
	e->layers[0][1].peer_stream = 3;
	e->layers[1][0].input = false;
}

/* Refused when the action lists are written. */
static void r_no_flow(struct example *e)
{
	e->ctx[0][3].kind = HEF_ACT_NONE;
}

static void r_two_flows(struct example *e)
{
	e->ctx[0][5] = e->ctx[0][3]; /* [4] is none: two runs */
	e->contexts[0].n_actions = 6;
}

static void r_unknown_input(struct example *e)
{
	e->ctx[0][3].flow.stream = 1; /* an output */
}

static void r_unknown_output(struct example *e)
{
	e->ctx[0][4] = flow(HEF_ACT_WAIT_OUTPUT_DONE, 0); /* an input */
	e->contexts[0].n_actions = 5;
}

static void r_flow_of_rows(struct example *e)
{
	add_rows(e);
	e->ctx[0][3].flow.stream = 3;
}

static void r_asap_without_flow(struct example *e)
{
	e->hef.features.run_asap = true;
}

static void r_stand_in(struct example *e)
{
	/* context 1 has no output left, so nothing can stand in for channel 1 */
	e->layers[0][2] = e->layers[1][1];
	e->layers[0][2].stream = 6;
	e->contexts[0].n_layers = 3;
	e->contexts[1].n_layers = 1;
	e->contexts[1].n_actions = 3;
}

static const struct {
	const char *name;
	void (*change)(struct example *e);
	int code;
	bool second, late; /* from example 2; in network_contexts() */
	uint32_t batch, page;
} refusals[] = {
    {"batch", r_batch, -EINVAL, false, false, 64, 4096},
    {"page too large", r_batch, -EINVAL, false, false, 1, 8192},
    {"page too small", r_batch, -EINVAL, false, false, 1, 32},
    {"odd page", r_batch, -EINVAL, false, false, 1, 768},
    {"no context", r_no_context, -EBADMSG, false, false, 1, 4096},
    {"too many contexts", r_many_contexts, -ENOTSUP, false, false, 1, 4096},
    {"config channels", r_config_channels, -ENOTSUP, false, false, 1, 4096},
    {"networks", r_networks, -ENOTSUP, false, false, 1, 4096},
    {"no input", r_no_input, -EBADMSG, false, false, 1, 4096},
    {"no output", r_no_output, -EBADMSG, false, false, 1, 4096},
    {"same stream", r_same_stream, -EBADMSG, false, false, 1, 4096},
    {"channels", r_channels, -ENOTSUP, false, false, 1, 4096},
    {"cache", r_cache, -ENOTSUP, false, false, 1, 4096},
    {"rows unpadded", r_rows_unpadded, -ENOTSUP, false, false, 1, 4096},
    {"rows alone", r_rows_alone, -EBADMSG, false, false, 1, 4096},
    {"odd rows", r_rows_odd, -EBADMSG, false, false, 1, 4096},
    {"config gap", r_config_gap, -EBADMSG, false, false, 1, 4096},
    {"config beyond", r_config_beyond, -EBADMSG, false, false, 1, 4096},
    {"config empty", r_config_empty, -EBADMSG, false, false, 1, 4096},
    {"config long", r_config_long, -EBADMSG, false, false, 1, 4096},
    {"empty transfer", r_transfer, -ENOTSUP, false, false, 1, 4096},
    {"peer", r_peer, -EBADMSG, true, false, 1, 4096},
    {"peer size", r_peer_size, -EBADMSG, true, false, 1, 4096},
    {"peer order", r_peer_order, -EBADMSG, true, false, 1, 4096},
    {"no flow", r_no_flow, -EBADMSG, false, true, 1, 4096},
    {"two flows", r_two_flows, -EBADMSG, false, true, 1, 4096},
    {"unknown input", r_unknown_input, -EBADMSG, false, true, 1, 4096},
    {"unknown output", r_unknown_output, -EBADMSG, false, true, 1, 4096},
    {"flow of rows", r_flow_of_rows, -EBADMSG, false, true, 1, 4096},
    {"asap without flow", r_asap_without_flow, -EBADMSG, false, true, 1, 4096},
    {"stand-in", r_stand_in, -EBADMSG, true, true, 1, 4096},
};

static void refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		struct hw_error err = {0};
		struct network *net;
		struct example e;
		int r;

		(refusals[i].second ? example_2 : example_1)(&e);
		refusals[i].change(&e);
		r = try_plan(&e, refusals[i].batch, refusals[i].page, &net, &err);
		if (refusals[i].late) {
			assert_ok(r, &err);
			r = network_contexts(net, &err);
			network_free(net, NULL);
		} else {
			assert_null(net);
		}
		if (r != refusals[i].code || !err.text[0])
			fail_msg("%s: %d %s", refusals[i].name, r, err.text);
	}
}

static void one_index_per_direction(void **state)
{
	struct example e;
	struct network *net;

	(void)state;
	example_1(&e);
	r_same_stream(&e);
	e.hef.features.dual_direction = true;
	net = planned(&e);
	network_free(net, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(refused),
	    cmocka_unit_test(one_index_per_direction),
	};

	return cmocka_run_group_tests(tests, fill_data, NULL);
}
