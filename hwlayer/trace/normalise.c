// SPDX-License-Identifier: MIT
/*
 * What two correct hosts may do differently: one function for each point of golden/README
 * section 3.  Point 3 (the order of fetches of different channels) has none: it must be equal.
 */
#include "trace/trace.h"

static void drop_lines(cJSON *subject, const char *op)
{
	cJSON *i = subject->child, *next;

	for (; i; i = next) {
		next = i->next;
		if (trace_is(i, op))
			cJSON_Delete(cJSON_DetachItemViaPointer(subject, i));
	}
}

/* total_desc_count of the lists in that role: in the decoded actions and in the requests. */
static void mask_counts(cJSON *subject, const char *what)
{
	const cJSON *where;
	cJSON *i, *a;

	cJSON_ArrayForEach(i, subject)
	{
		cJSON *req = cJSON_GetObjectItem(i, "req");

		/* The subject has checked that these places are inside. */
		cJSON_ArrayForEach(where, cJSON_GetObjectItem(
					      i, "hbi")) if (!strcmp(trace_text(where, "of"), what))
		    memcpy(req->valuestring +
			       2 * ((size_t)trace_number(where, "at") + TRACE_HBI_COUNT),
			   "..count.", 8);
		cJSON_ArrayForEach(a, cJSON_GetObjectItem(i, "actions"))
		{
			const char *word = trace_text(a, "a");
			bool boundary = strstr(word, "_boundary_") != NULL;
			bool config = !strcmp(word, "activate_cfg_channel");

			if (!strcmp(what, "boundary") ? boundary : config)
				cJSON_DeleteItemFromObject(cJSON_GetObjectItem(a, "hbi"), "count");
		}
	}
}

/* The length of the ring behind @list, as its state shows it; 0: unknown. */
static double ring(const cJSON *subject, double list)
{
	const cJSON *i, *run;
	double n = 0;

	cJSON_ArrayForEach(i, subject) if (trace_is(i, "list_state") &&
					   trace_number(i, "list") == list)
	    cJSON_ArrayForEach(run, cJSON_GetObjectItem(i, "descs")) n +=
	    cJSON_GetArrayItem(run, 0)->valuedouble;
	return n;
}

/*
 * Where the ring is shorter its indices wrap earlier: they become positions since the channels
 * were enabled.  A transfer that does not begin where the one before it ended is left as it is.
 */
static void unwrap(cJSON *subject)
{
	double at[CHIP_VDMA_CHANNELS] = {0}, wrapped[CHIP_VDMA_CHANNELS] = {0};
	cJSON *i;

	cJSON_ArrayForEach(i, subject)
	{
		double start = trace_number(i, "start"), avail = trace_number(i, "avail"), n;
		unsigned int ch = trace_uint(i, "ch");

		if (trace_is(i, "enable_channels")) {
			memset(at, 0, sizeof(at));
			memset(wrapped, 0, sizeof(wrapped));
		}
		if (!trace_is(i, "transfer") || ch >= CHIP_VDMA_CHANNELS || start != wrapped[ch])
			continue;
		n = avail - start;
		if (n < 0)
			n += ring(subject, trace_number(i, "list"));
		wrapped[ch] = avail;
		cJSON_SetNumberValue(cJSON_GetObjectItem(i, "start"), at[ch]);
		at[ch] += n;
		cJSON_SetNumberValue(cJSON_GetObjectItem(i, "avail"), at[ch]);
	}
}

/*
 * Point 1: the count of boundary lists and how many outputs are queued ahead follow the queue
 * depth, which is a choice.
 */
void trace_norm_queue_depth(cJSON *subject)
{
	cJSON *i, *runs;

	unwrap(subject);
	mask_counts(subject, "boundary");
	drop_lines(subject, "queued_ahead");
	cJSON_ArrayForEach(i, subject)
	{
		if (!trace_is(i, "list_state") || strcmp(trace_text(i, "of"), "boundary"))
			continue;
		/* The one run of a list nobody has used yet. */
		runs = cJSON_GetObjectItem(i, "descs");
		if (cJSON_GetArraySize(runs) == 1)
			cJSON_ReplaceItemInArray(cJSON_GetArrayItem(runs, 0), 0,
						 cJSON_CreateNumber(0));
	}
}

/* Point 2: asking the same again changes nothing; the first time counts. */
void trace_norm_queries(cJSON *subject)
{
	static const unsigned int queries[] = {FW_IDENTIFY, FW_GET_DEVICE_INFORMATION,
					       FW_GET_HW_CONSTS};
	cJSON *i, *next;

	for (size_t q = 0; q < ARRAY_SIZE(queries); q++) {
		const cJSON *first = NULL;

		for (i = subject->child; i; i = next) {
			next = i->next;
			if (!trace_is_control(i, queries[q]))
				continue;
			if (!first)
				first = i;
			else if (cJSON_Compare(i, first, true))
				cJSON_Delete(cJSON_DetachItemViaPointer(subject, i));
		}
	}
}

/* What was fetched of a list, in all contexts; 0: not a configuration list of this recording. */
static double fetched(const cJSON *subject, double list)
{
	const cJSON *i;
	double most = 0;

	cJSON_ArrayForEach(i, subject) if (trace_is(i, "config_list") &&
					   trace_number(i, "list") == list &&
					   trace_number(i, "descs_fetched") > most) most =
	    trace_number(i, "descs_fetched");
	return most;
}

/*
 * Point 4: a configuration list may be longer than what is fetched of it, and the descriptors
 * behind are never read.
 */
void trace_norm_config_count(cJSON *subject)
{
	cJSON *i, *runs, *run, *next;

	mask_counts(subject, "config");
	cJSON_ArrayForEach(i, subject)
	{
		double left;

		if (trace_is(i, "config_list"))
			cJSON_DeleteItemFromObject(i, "descs_total");
		if (!trace_is(i, "list_state") || strcmp(trace_text(i, "of"), "config"))
			continue;
		left = fetched(subject, trace_number(i, "list"));
		runs = cJSON_GetObjectItem(i, "descs");
		for (run = runs->child; run; run = next) {
			cJSON *n = cJSON_GetArrayItem(run, 0);

			next = run->next;
			if (n->valuedouble > left)
				cJSON_SetNumberValue(n, left);
			left -= n->valuedouble;
			if (n->valuedouble <= 0)
				cJSON_Delete(cJSON_DetachItemViaPointer(runs, run));
		}
	}
}

/* Point 5: how memory is mapped and synchronised, and in which pieces. */
void trace_norm_buffers(cJSON *subject)
{
	cJSON *i;

	drop_lines(subject, "buffer_map");
	drop_lines(subject, "buffer_sync");
	cJSON_ArrayForEach(i, subject) cJSON_DeleteItemFromObject(i, "buffers");
}

static void flush(cJSON *to, cJSON *channels[CHIP_VDMA_CHANNELS])
{
	for (unsigned int ch = 0; ch < CHIP_VDMA_CHANNELS; ch++)
		while (channels[ch]->child)
			cJSON_AddItemToArray(
			    to, cJSON_DetachItemViaPointer(channels[ch], channels[ch]->child));
}

/* Transfers that follow one another are put in the order of their channels. */
static void group_by_channel(cJSON *subject)
{
	cJSON *channels[CHIP_VDMA_CHANNELS], *out = cJSON_CreateArray(), *i;

	for (unsigned int ch = 0; ch < CHIP_VDMA_CHANNELS; ch++)
		channels[ch] = cJSON_CreateArray();
	while ((i = subject->child)) {
		double ch = trace_number(i, "ch");

		cJSON_DetachItemViaPointer(subject, i);
		if (trace_is(i, "transfer") && ch >= 0 && ch < CHIP_VDMA_CHANNELS) {
			cJSON_AddItemToArray(channels[(unsigned int)ch], i);
			continue;
		}
		flush(out, channels);
		cJSON_AddItemToArray(out, i);
	}
	flush(out, channels);
	subject->child = out->child;
	out->child = NULL;
	cJSON_Delete(out);
	for (unsigned int ch = 0; ch < CHIP_VDMA_CHANNELS; ch++)
		cJSON_Delete(channels[ch]);
}

/*
 * Point 6: the interleaving between channels, the notification reader, waiting for interrupts,
 * and launches that never finished.
 */
void trace_norm_interleaving(cJSON *subject)
{
	drop_lines(subject, "interrupt");
	drop_lines(subject, "event");
	drop_lines(subject, "transfer_unfinished");
	group_by_channel(subject);
}

/*
 * Point 7: one buffer bound to the whole list beforehand, or each transfer's own buffer.  The
 * former shows in the list before the first transfer.
 */
void trace_norm_bind(cJSON *subject)
{
	cJSON *i;

	cJSON_ArrayForEach(i, subject)
	{
		cJSON_DeleteItemFromObject(i, "bind");
		if (trace_is(i, "list_state") && !strcmp(trace_text(i, "of"), "boundary"))
			cJSON_DeleteItemFromObject(i, "descs");
	}
}

void trace_normalise(cJSON *subject)
{
	trace_norm_queue_depth(subject);
	trace_norm_queries(subject);
	trace_norm_config_count(subject);
	trace_norm_buffers(subject);
	trace_norm_interleaving(subject);
	trace_norm_bind(subject);
}
