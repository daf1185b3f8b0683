// SPDX-License-Identifier: MIT
/* The parts of hwctl dma-test: what is looked at below the public interface, and the comparison. */
#ifndef HWLAYER_HWCTL_DMA_TEST_H
#define HWLAYER_HWCTL_DMA_TEST_H

#include "hwctl/hwctl.h"
#include "infer/infer.h"

/* ------------------------------------------------------------------- dma_count.c */

/* One boundary channel, watched from the seam to the chip. */
struct dma_channel {
	const struct infer_stream *stream; /* NULL: not of this network */
	uint64_t launched, finished;       /* transfers */
	uint64_t told_descs, told_bytes;   /* what descriptors in the list say */
	uint64_t done_descs, done_bytes;   /* of those, what the channel's counter says is done */
	uint64_t bad_descs;                /* size, address or control byte not as they should be */
	uint32_t position;                 /* of the counter when it was last read */
};

struct dma_count {
	struct hw_dev *dev;
	struct hw_net *net;
	struct dma_channel ch[CHIP_VDMA_CHANNELS];
	uint64_t guard_bytes, guard_damaged;
	/* a chip in this process: its own statistics while frames were running */
	bool has_chip;
	uint64_t chip_read, chip_written, chip_faults, chip_frames;
};

/* Before the network is loaded: guard pages, and somebody at the seam. */
int dma_count_prepare(struct dma_count *c, struct hw_dev *dev, struct hw_error *err);
/* With the network loaded and idle: fill the guards and begin, look at the guards and end. */
int dma_count_begin(struct dma_count *c, struct hw_net *net, struct hw_error *err);
int dma_count_end(struct dma_count *c, struct hw_error *err);

/* ------------------------------------------------------------------ dma_memory.c */

/* Microseconds of the CPU for reading all outputs of a frame. */
struct dma_memory {
	double dma_us;      /* where the chip put them, with the sync that it needs */
	double ordinary_us; /* as much of ordinary memory */
};

/* With the network loaded and idle.  0 or -ENOMEM. */
int dma_memory_measure(const struct hw_net *net, struct dma_memory *out);

/* -------------------------------------------------------------------- dma_test.c */

/* What a run over an open device came to, for others that want to know. */
struct dma_outcome {
	size_t frames, compared, different;
	uint64_t bytes_in, bytes_out;
	uint64_t interrupts, interrupts_missed;
	double frames_per_second;
	char function[128];
	bool dma_ok;            /* counters, bytes, descriptors, guards, and a software chip's own count */
};

/* Run @frames of the network in @model.  0, or why a frame could not be had back. */
int dma_test_on(const struct options *opt, struct hw_dev *dev, const char *model, long frames,
		struct dma_outcome *out, struct hw_error *err);

/* ----------------------------------------------------------------- dma_compare.c */

/* The same model on this CPU. */
struct dma_reference;
int dma_reference_open(const char *onnx, struct dma_reference **out, struct hw_error *err);
void dma_reference_free(struct dma_reference *r);
/*
 * Does it fit the network, and what shall go in?  @input: n frames of float input of the network,
 * made of raw values by MODEL.json; the reference keeps its own.
 */
int dma_reference_inputs(struct dma_reference *r, const char *model, const struct hw_tensor_info *in,
			 size_t n_in, const struct hw_tensor_info *out, size_t n_out, size_t n,
			 float *const *input, struct hw_error *err);
/* Cosine similarity and largest difference of the network's @output to input @k with the model's. */
void dma_reference_compare(const struct dma_reference *r, size_t k, float *const *output,
			   double *cosine, double *difference);

#endif
