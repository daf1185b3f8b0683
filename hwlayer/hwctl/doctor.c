// SPDX-License-Identifier: MIT
/* hwctl doctor: from "is there a card" to "an inference ran", rung by rung. */
#include "hwctl/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pci/card.h"

#define FRAMES 50
#define FRAMES_MAX 100000000L

static const struct {
	const char *name, *title;
} titles[RUNGS] = {
	[RUNG_CARD] = {"card", "a card on PCI"},
	[RUNG_BARS] = {"bars", "its address space"},
	[RUNG_LINK] = {"link", "speed and width"},
	[RUNG_DRIVER] = {"driver", "kernel driver"},
	[RUNG_IOMMU] = {"iommu", "IOMMU group"},
	[RUNG_NODE] = {"node", "device node"},
	[RUNG_MEMLOCK] = {"memlock", "locked memory"},
	[RUNG_MSI] = {"msi", "interrupts"},
	[RUNG_FIRMWARE] = {"firmware", "firmware file"},
	[RUNG_BOOT] = {"boot", "firmware boots"},
	[RUNG_IDENTIFY] = {"identify", "what the chip is"},
	[RUNG_TEMPERATURE] = {"temperature", "temperature"},
	[RUNG_DMA] = {"dma", "DMA counters"},
	[RUNG_INFERENCE] = {"inference", "an inference"},
};

#define FILL(to, fmt)                                                                              \
	do {                                                                                       \
		va_list ap_;                                                                       \
		va_start(ap_, fmt);                                                                \
		vsnprintf(to, sizeof(to), fmt, ap_);                                               \
		va_end(ap_);                                                                       \
	} while (0)

void rung_pass(struct rung *r, const char *fmt, ...)
{
	r->state = RUNG_PASS;
	FILL(r->found, fmt);
}

void rung_skip(struct rung *r, const char *fmt, ...)
{
	r->state = RUNG_SKIP;
	FILL(r->found, fmt);
}

void rung_found(struct rung *r, const char *fmt, ...)
{
	FILL(r->found, fmt);
}

void rung_fail(struct rung *r, const char *fmt, ...)
{
	r->state = RUNG_FAIL;
	FILL(r->cause, fmt);
}

void rung_mend(struct rung *r, const char *fmt, ...)
{
	if (r->n_mends < MENDS_MAX)
		FILL(r->mend[r->n_mends++], fmt);
}

/* ----------------------------------------------------------------------------------- ladder */

static bool failed(const struct doctor *d, enum rung_id id)
{
	return d->rungs[id].state == RUNG_FAIL;
}

/* Which failure makes trying the chip pointless; RUNGS: none. */
static enum rung_id in_the_way(const struct doctor *d)
{
	static const enum rung_id needed[] = {RUNG_CARD, RUNG_BARS, RUNG_DRIVER, RUNG_IOMMU, RUNG_NODE,
					      RUNG_FIRMWARE};

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (failed(d, needed[i]))
			return needed[i];
	}
	return RUNGS;
}

static void skip_for(struct doctor *d, int first, int last, enum rung_id cause)
{
	for (int i = first; i <= last; i++)
		rung_skip(&d->rungs[i], "after \"%s\" is mended", titles[cause].name);
}

static void climb_pci(struct doctor *d, const char *wanted)
{
	doctor_card(d, wanted, &d->rungs[RUNG_CARD]);
	if (failed(d, RUNG_CARD)) {
		skip_for(d, RUNG_BARS, RUNG_MSI, RUNG_CARD);
		return;
	}
	doctor_bars(d, &d->rungs[RUNG_BARS]);
	doctor_link(d, &d->rungs[RUNG_LINK]);
	doctor_driver(d, &d->rungs[RUNG_DRIVER]);
	doctor_iommu(d, &d->rungs[RUNG_IOMMU]);
	if (failed(d, RUNG_DRIVER)) {
		skip_for(d, RUNG_NODE, RUNG_MEMLOCK, RUNG_DRIVER);
	} else {
		doctor_node(d, &d->rungs[RUNG_NODE]);
		doctor_memlock(d, &d->rungs[RUNG_MEMLOCK]);
	}
	doctor_msi(d, &d->rungs[RUNG_MSI]);
}

static void climb(struct doctor *d, const char *wanted)
{
	enum rung_id cause;

	if (d->mock) {
		for (int i = RUNG_CARD; i < RUNG_FIRMWARE; i++)
			rung_skip(&d->rungs[i], "a chip in software has none");
	} else {
		climb_pci(d, wanted);
	}
	doctor_firmware(d, &d->rungs[RUNG_FIRMWARE]);
	cause = in_the_way(d);
	if (cause == RUNGS)
		doctor_chip(d);
	else
		skip_for(d, RUNG_BOOT, RUNGS - 1, cause);
}

/* ----------------------------------------------------------------------------------- answer */

static const char *state_word(enum rung_state s)
{
	return s == RUNG_PASS ? "pass" : s == RUNG_FAIL ? "fail" : "skip";
}

static void print_text(const struct doctor *d, size_t n_failed)
{
	for (int i = 0; i < RUNGS; i++) {
		const struct rung *r = &d->rungs[i];

		printf("%s  %-12s %s\n", r->state == RUNG_FAIL ? "FAIL" : state_word(r->state), titles[i].name,
		       r->found[0] ? r->found : titles[i].title);
		if (r->state != RUNG_FAIL)
			continue;
		printf("      cause: %s\n", r->cause);
		for (size_t k = 0; k < r->n_mends; k++)
			printf("      %s %s\n", k ? "   or:" : " mend:", r->mend[k]);
	}
	if (n_failed)
		printf("%zu of %d steps failed; mend the first one and try again\n", n_failed, RUNGS);
	else
		puts("all is well");
}

static void print_answer_json(const struct doctor *d, size_t n_failed)
{
	cJSON *o = cJSON_CreateObject(), *a;

	cJSON_AddStringToObject(o, "device", d->mock ? d->opt->device : d->bdf);
	cJSON_AddBoolToObject(o, "ok", !n_failed);
	cJSON_AddStringToObject(o, "model", d->model);
	a = cJSON_AddArrayToObject(o, "rungs");
	for (int i = 0; i < RUNGS; i++) {
		const struct rung *r = &d->rungs[i];
		cJSON *one = cJSON_CreateObject(), *mends;

		cJSON_AddStringToObject(one, "name", titles[i].name);
		cJSON_AddStringToObject(one, "title", titles[i].title);
		cJSON_AddStringToObject(one, "state", state_word(r->state));
		cJSON_AddStringToObject(one, "found", r->found);
		cJSON_AddStringToObject(one, "cause", r->cause);
		mends = cJSON_AddArrayToObject(one, "mend");
		for (size_t k = 0; k < r->n_mends; k++)
			cJSON_AddItemToArray(mends, cJSON_CreateString(r->mend[k]));
		cJSON_AddItemToArray(a, one);
	}
	print_json(o);
}

/* --------------------------------------------------------------------------------- command */

static bool is_pi5(void)
{
	char path[PATH_MAX];
	char model[128] = "";
	FILE *f = fopen(host_path(path, "/proc/device-tree/model"), "re");

	if (f && !fgets(model, sizeof(model), f))
		model[0] = 0;
	if (f)
		fclose(f);
	return strstr(model, "Raspberry Pi 5") || strstr(model, "Compute Module 5");
}

int cmd_doctor(const struct options *opt, int argc, char **argv)
{
	struct options device = *opt;
	struct doctor *d;
	const char *wanted = NULL, *model = NULL;
	char standard[PATH_MAX], bdf[16];
	long frames = FRAMES;
	const struct own_option known[] = {
		{"--model", .text = &model},
		{"--frames", .number = &frames, .min = 1, .max = FRAMES_MAX},
		{0},
	};
	size_t n_failed = 0;
	int r;

	r = read_options("doctor", argc, argv, known, &wanted);
	if (r != EXIT_OK)
		return r;
	if (!wanted)
		wanted = opt->device;
	if (wanted && (strcmp(wanted, "auto") == 0 || strcmp(wanted, "0") == 0))
		wanted = NULL;
	if (wanted && strncmp(wanted, "mock", 4) && pci_parse_bdf(wanted, bdf) < 0)
		return usage_error("doctor wants a PCI address, auto or mock, not '%s'", wanted);
	if (!model)
		model = host_default_model(standard);
	d = calloc(1, sizeof(*d));
	if (!d)
		return EXIT_FAILED;
	d->mock = wanted && strncmp(wanted, "mock", 4) == 0;
	d->software = d->mock;
	device.device = wanted;
	d->opt = &device;
	d->model = model;
	d->frames = frames;
	d->group = -1;
	d->pi5 = is_pi5();
	climb(d, wanted);
	for (int i = 0; i < RUNGS; i++)
		n_failed += failed(d, (enum rung_id)i);
	if (opt->json)
		print_answer_json(d, n_failed);
	else
		print_text(d, n_failed);
	free(d);
	return n_failed ? EXIT_FAILED : EXIT_OK;
}
