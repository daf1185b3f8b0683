/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inside hailo_uio:
 *   hailo_uio.c  binding and unbinding, attributes, parameters
 *   chip.c       stopping the card, interrupts
 *   memory.c     DMA memory, and what is mapped
 *   session.c    one user, from open to release or until the card is taken away
 */
#ifndef HAILO_UIO_INTERNAL_H
#define HAILO_UIO_INTERNAL_H

#include <linux/atomic.h>
#include <linux/ioport.h>
#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "hailo_uio.h"

struct file;
struct inode;
struct mm_struct;
struct page;
struct pci_dev;
struct pid;
struct vm_area_struct;
struct hailo_session;

struct hailo_card {
	struct kref ref;
	struct pci_dev *pdev;
	struct miscdevice misc;
	char name[24];
	int number;
	void __iomem *config; /* BAR0 */
	void __iomem *fw;     /* BAR4 */
	struct resource rest[6]; /* of the pages that BARs smaller than a page lie in */
	/* Guards all below, and that @pdev is bound for as long as there is a session. */
	struct mutex lock;
	bool gone;
	struct hailo_session *session;
};

/* One open file, until it is closed or its card is taken away. */
struct hailo_session {
	struct kref ref;
	struct hailo_card *card;
	bool live; /* written under the card's lock */
	struct pid *owner;
	struct mm_struct *mm; /* who may map: revoking waits for its mmap() calls */
	struct inode *inode;
	struct address_space *mapping;
	struct xarray areas;
	size_t dma_bytes;
	wait_queue_head_t wait;
	atomic64_t interrupts;
	bool irq_on, irq_msi;
	bool intx_masked;
	/* What revoked mappings show: a page for each BAR, one for all DMA memory. */
	struct page *dead[4];
};

#define HAILO_DEAD_DMA 3

/* hailo_uio.c */
bool hailo_want_msi(void);
u64 hailo_dma_limit(void);
void hailo_card_put(struct hailo_card *card);

/* chip.c; with the card's lock */
void hailo_set_master(struct hailo_card *card, bool on);
/* No DMA any more when this returns.  Whoever stopped in order has switched bus mastering off. */
void hailo_stop(struct hailo_card *card);
int hailo_irq_on(struct hailo_session *s);
void hailo_irq_off(struct hailo_session *s);
/* Takes the card's lock: the user waits for the next interrupt, so it has served the last one. */
void hailo_intx_unmask(struct hailo_session *s);

/* memory.c; with the card's lock, but for the last */
bool hailo_bar_exists(unsigned long bar);
int hailo_dma_alloc(struct hailo_session *s, struct hailo_uio_dma *q);
int hailo_dma_free(struct hailo_session *s, u32 id);
int hailo_dma_sync(struct hailo_session *s, const struct hailo_uio_sync *q);
/* All of it: the card was stopped, and nothing is mapped. */
void hailo_areas_free(struct hailo_session *s);
int hailo_mmap(struct file *file, struct vm_area_struct *vma);

/* session.c */
extern const struct file_operations hailo_fops;
/*
 * Take the card away from its user: it goes, or it is about to lose power.  The card is bound.
 * When this returns the user's mappings lead to pages of no meaning, and its DMA memory is freed.
 */
void hailo_revoke(struct hailo_card *card);

#endif
