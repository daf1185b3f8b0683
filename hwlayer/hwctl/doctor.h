// SPDX-License-Identifier: MIT
/* The rungs of hwctl doctor's ladder. */
#ifndef HWLAYER_HWCTL_DOCTOR_H
#define HWLAYER_HWCTL_DOCTOR_H

#include "hwctl/hwctl.h"

enum rung_state { RUNG_PASS, RUNG_FAIL, RUNG_SKIP };

#define MENDS_MAX 4

struct rung {
	enum rung_state state;
	char found[320];          /* what there is */
	char cause[480];          /* RUNG_FAIL: why */
	char mend[MENDS_MAX][320]; /* RUNG_FAIL: commands that mend it */
	size_t n_mends;
};

enum rung_id {
	RUNG_CARD, RUNG_BARS, RUNG_LINK, RUNG_DRIVER, RUNG_IOMMU, RUNG_NODE, RUNG_MEMLOCK, RUNG_MSI,
	RUNG_FIRMWARE, RUNG_BOOT, RUNG_IDENTIFY, RUNG_TEMPERATURE, RUNG_DMA, RUNG_INFERENCE,
	RUNGS,
};

struct doctor {
	const struct options *opt;
	const char *model;
	long frames;
	bool mock;                /* in this process or a server's: no PCI function */
	char bdf[16];
	char driver[32];
	int group;                /* IOMMU group, -1: none */
	bool software;            /* a chip in software, perhaps one that is a PCI function of a virtual machine */
	bool noiommu;             /* VFIO made the group, no IOMMU is behind it */
	bool pi5;                 /* the machine is a Raspberry Pi 5 */
	struct rung rungs[RUNGS];
};

void rung_pass(struct rung *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rung_skip(struct rung *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* @found is set before with rung_found(), where there is something to show. */
void rung_found(struct rung *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rung_fail(struct rung *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rung_mend(struct rung *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* doctor_pci.c: what the kernel says about the function.  doctor_card() fills what others look at. */
void doctor_card(struct doctor *d, const char *wanted, struct rung *r);
void doctor_bars(struct doctor *d, struct rung *r);
void doctor_link(struct doctor *d, struct rung *r);
void doctor_msi(struct doctor *d, struct rung *r);

/* doctor_host.c: what this machine and this user may do */
void doctor_driver(struct doctor *d, struct rung *r);
void doctor_iommu(struct doctor *d, struct rung *r);
void doctor_node(struct doctor *d, struct rung *r);
void doctor_memlock(struct doctor *d, struct rung *r);
void doctor_firmware(struct doctor *d, struct rung *r);

/* doctor_chip.c: what the chip does; from RUNG_BOOT on */
void doctor_chip(struct doctor *d);

#endif
