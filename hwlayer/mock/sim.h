// SPDX-License-Identifier: MIT
/*
 * Inside of the software chip: what its files share.  Only mock/ and its tests include this.
 *
 * Two threads.  The firmware thread owns life cycle timers, doorbells and controls; the engine
 * thread walks action lists, moves DMA and runs the neural core, so that a long inference never
 * delays a control.  Register accesses come from the host's threads.  One lock covers everything;
 * nobody holds it while calling the host or the core.  "sim_*" functions want the lock held
 * unless they say otherwise.
 */
#ifndef HWLAYER_MOCK_SIM_H
#define HWLAYER_MOCK_SIM_H

#include <pthread.h>

#include "chip/protocol.h"
#include "chip/regs.h"
#include "mock/fault.h"
#include "mock/mock.h"
#include "util/bytes.h"
#include "util/util.h"

/* ------------------------------------------------------------ numbers of the model */

#define SIM_RAM_BASE 0x00060000u /* pcie 2.7: everything between the first and the last item */
#define SIM_RAM_SIZE 0x00081000u
#define SIM_SRAM_BASE CHIP_ADDR_MAILBOX
#define SIM_SRAM_SIZE 0x4000u
#define SIM_LOG_APP 0x60002000u /* MODEL: where the logs live is unknown (pcie 12 no 4) */
#define SIM_LOG_CORE 0x60003000u
#define SIM_DOORBELL (CHIP_ADDR_PCIE_BLOCK + 0x684u)
#define SIM_BOOT_STATUS_FAILED 2u /* MODEL: anything but 1 (pcie 11.3) */
#define SIM_IRQ_BRIDGE                                                                             \
	0x00800000u /* evidence 3: comes with every firmware event, outside the mask */

/* Status words of protocol 3 that the shared header has no name for. */
#define SIM_STATUS_RESET_TYPE 0x40030022u
#define SIM_STATUS_WRITE_REFUSED 0x40000058u /* these five: evidence 8 */
#define SIM_STATUS_RESTRICTED 0x40030098u
#define SIM_STATUS_NO_STREAMS 0x40030050u
#define SIM_STATUS_NO_STREAMS_MINOR 0x40030005u
#define SIM_STATUS_BIST_BLOCK 0x400300b2u
#define SIM_STATUS_CONTEXT_COUNT 0x4013006fu
#define SIM_STATUS_WAIT_TIMEOUT 0x40130020u
#define SIM_STATUS_CHANGE_NOT_ALLOWED 0x4013003eu
#define SIM_STATUS_CONTEXT_MEMORY 0x4013007au
#define SIM_STATUS_CREDIT_SIZE 0x40130027u
#define SIM_STATUS_BUFFER_BYTES 0x40130026u
#define SIM_STATUS_CREDIT_TYPE 0x4013003au
#define SIM_STATUS_TWO_LAYERS 0x40130031u
#define SIM_STATUS_TOO_MANY_DESCS 0x40130034u
#define SIM_STATUS_CREDITS_LEFT 0x4013004eu
#define SIM_STATUS_DDR_BUSY 0x40130057u
#define SIM_STATUS_NOT_IDLE 0x40130072u
#define SIM_STATUS_FEW_DESCS 0x402d001fu
#define SIM_STATUS_CHANNEL_BUSY 0x402d000au
#define SIM_STATUS_BUFFER_TYPE 0x40130066u
#define SIM_STATUS_CFG_STREAM 0x40130069u
#define SIM_STATUS_TWO_STREAMS 0x40130032u
#define SIM_STATUS_TOO_HOT 0x4013005au
#define SIM_STATUS_ACTION_DIRECTION 0x40130039u
#define SIM_STATUS_DMA_STUCK 0x402d000fu /* MODEL for a transfer that the bus refused */
#define SIM_STATUS_NOT_POW2 0x402d0011u
#define SIM_STATUS_PATTERN_TOO_LARGE 0x402d001au
#define SIM_STATUS_PATTERN_ZERO 0x402d001bu

/* MODEL: bits of a channel's error byte; what hardware puts there is unknown (pcie 12 no 9). */
#define SIM_DMA_ERR_FETCH 0x01u
#define SIM_DMA_ERR_DATA 0x02u
#define SIM_DMA_ERR_DESC 0x04u

#define SIM_CONTEXT_MEMORY 0x14000u /* protocol 4.2: 80 KiB for all applications */
#define SIM_EVENTS_QUEUED 32u
#define SIM_BURST 64u /* descriptors moved between two looks at the lock */

enum sim_state { SIM_BOOTLOADER, SIM_BOOTING, SIM_RUNNING, SIM_RESETTING, SIM_FAILED };

/* ------------------------------------------------------------------------ vDMA */

/* One half of a channel: its register block (pcie 6.2). */
struct sim_side {
	uint8_t ctrl, data_id, depth, spare, err;
	uint16_t avail, proc, ongoing;
	uint64_t list;
};

struct sim_chan {
	struct sim_side host, dev;
	uint32_t gen;	/* changes at every start and abort: what moved meanwhile does not count */
	uint32_t pos;	/* next descriptor */
	uint32_t page;	/* from the host buffer info */
	uint32_t count; /* descriptors of the list */
	bool linear;	/* a config list: no wrap, fed by the firmware */
	uint32_t asked; /* linear: descriptors that FETCH actions asked for */
	bool starved;	/* linear: met its end or an unprogrammed descriptor; it never goes on */
	uint8_t last_ctrl; /* control byte of the last descriptor that was consumed */
	bool stuck;	   /* ordered: it moves nothing until it is opened again */
	bool lies;	   /* ordered: the processed counter is not where it should be */
	enum sim_count_lie lie;
	uint32_t behind; /* descriptors that SIM_COUNT_FEW leaves out */
};

/* ------------------------------------------------------------------- applications */

/* An action in execution order: members of repeated actions stand for themselves. */
struct sim_act {
	uint8_t type;
	const uint8_t *p; /* parameters, inside the context's bytes */
};

struct sim_context {
	uint8_t type;
	struct buf bytes;
	struct sim_act *acts;
	size_t nacts;
	struct mock_context_stats stats; /* since ENABLED */
};

struct sim_app {
	uint16_t dynamic_contexts, batch;
	bool fast_batch_switch;
	uint8_t cfg_count, cfg_channel[FW_CFG_CHANNELS_MAX];
	struct sim_context *ctx; /* in the order sent */
	size_t nctx;
	unsigned int dynamic_seen;
	bool open, complete; /* a context waits for its last chunk; all contexts are there */
	struct standin *standin; /* what was ordered for microcode when it was configured */
};

/* ---------------------------------------------------------------------------- runs */

enum sim_kind { SIM_BOUNDARY, SIM_INTER_CONTEXT, SIM_DDR };

/*
 * A channel that carries frames: those at the boundary are opened once, those between contexts and
 * those of rows buffered in host memory live inside one context.
 */
struct sim_stream {
	enum sim_kind kind;
	uint8_t ch, stream_index;
	bool stream_known; /* some action named the stream index */
	bool connected;	   /* takes part in the context that runs */
	bool resumed, mapped,
	    dummy;	  /* boundary: may fetch; CHANGE_VDMA_TO_STREAM_MAPPING of this context */
	uint32_t pattern; /* bytes of one frame on the wire; of buffered rows: one row */
	uint32_t frame_periph; /* boundary input: what a FETCH_DATA in bytes must say */
	uint32_t credits;      /* frames granted by FETCH_DATA */
	uint32_t taken;	       /* frames of this batch that began to move */
	uint64_t list;
	uint32_t page, count;
	uint32_t rows, buffered; /* of a frame; to keep in host memory */
	uint8_t peer;		 /* DDR input: channel of its output */
	uint8_t *frame;
	size_t bytes; /* of @frame: the pattern, or all rows */
	size_t total; /* of this frame, when it is boxes of an NMS; else 0: the pattern */
	size_t have;  /* bytes of the frame that have moved */
	int port;     /* of the core, -1 none */
};

/* One direction of what is connected, in the order of its channels. */
struct sim_set {
	struct sim_stream *s[32];
	unsigned int n;
};

/* One activation of an application; the engine thread owns it from its first step to its end. */
struct sim_run {
	unsigned int app;
	uint16_t batch;
	uint16_t new_batch;	/* asked for by a batch switch, 0: none */
	uint32_t switch_status; /* what became of it */
	bool stop;		/* set by whoever ended it; the engine frees it then */
	bool failed;		/* an event 12 was sent; only RESET helps */
	bool streaming, burst, ready, result;
	bool rows_phase,
	    ddr_started; /* rows of the frame are under way; DDR_BUFFERING_START came */
	bool multi;	 /* more than one dynamic context */
	bool entered;	 /* the dynamic context was begun */
	bool flowing;	 /* FETCH_DATA was done in this context */
	uint32_t done;	 /* frames of the batch that this context has finished */
	size_t first_dynamic;
	size_t ctx, act;		   /* where the list stands */
	uint32_t fetch_left;		   /* descriptors the current FETCH still waits for */
	bool in_action;			   /* the current action was begun */
	uint64_t wake_ns;		   /* SLEEP ends then */
	struct sim_stream in[16], out[16]; /* boundary */
	unsigned int nin, nout;
	struct sim_stream inner[CHIP_VDMA_CHANNELS]; /* by channel number */
	struct sim_set from,
	    to; /* what a frame of this context comes from and goes to, without DDR */
	struct sim_set rows_out, rows_in;      /* DDR, pair by pair */
	int8_t cfg_stream[CHIP_VDMA_CHANNELS]; /* config stream attached to a channel, -1 none */
	uint32_t cfg_pattern[CHIP_VDMA_CHANNELS];
	struct {
		uint16_t classes, burst;
		uint8_t chunks;
	} nms; /* what ENABLE_NMS said; no classes: there was none */
	struct sim_function *fn;
	uint8_t *stage;
	const uint8_t *core_in[CHIP_VDMA_CHANNELS];
	uint8_t *core_out[CHIP_VDMA_CHANNELS];
};

/* ------------------------------------------------------------------------- the chip */

struct sim_event {
	uint8_t bytes[48];
	uint16_t len;
};

struct mock_chip {
	struct mock_opts opts;
	struct mock_host host;
	pthread_mutex_t lock;
	pthread_cond_t fw_cond, eng_cond, idle_cond;
	unsigned int eng_kicks; /* the engine looks again before it sleeps when this has changed */
	pthread_t fw_thread, eng_thread;
	bool quit;

	uint8_t cfg[256], cfg_mask[256]; /* configuration space and its writable bits */

	uint32_t imask, istatus, src_irq, dst_irq;
	uint32_t atr[4][8];
	unsigned int msi_owed;

	uint8_t *ram, *sram;
	enum sim_state state;
	uint64_t due_ns;   /* end of BOOTING or RESETTING */
	bool atr_restored; /* the host programmed ATR 0 again after the trigger */
	uint32_t doorbell;
	unsigned int epoch; /* counts resets: an answer from before one is dropped */

	struct sim_event events[SIM_EVENTS_QUEUED];
	unsigned int nevents;
	uint32_t event_seq;

	struct sim_chan chan[CHIP_VDMA_CHANNELS];
	bool dma_busy; /* the engine is inside a host callback */

	struct sim_app *apps[FW_APPS_MAX];
	unsigned int napps;
	bool cleared; /* CLEAR_CONFIGURED_APPS came since the firmware started */
	struct sim_run *run, *next_run;

	struct sim_faults faults;
	struct standin *standin; /* ordered for applications to come; NULL: the pattern */
	struct mock_stats stats;
	char fault[256];
};

/* chip.c */
void sim_fault(struct mock_chip *chip, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Wait on @cond until woken or until @when (0: for ever). */
void sim_wait(struct mock_chip *chip, pthread_cond_t *cond, uint64_t when_ns);
/* Something changed that the engine may be waiting for. */
void sim_engine_kick(struct mock_chip *chip);

/* config.c */
void sim_config_reset(struct mock_chip *chip);
bool sim_bus_master(const struct mock_chip *chip);
bool sim_in_d3(const struct mock_chip *chip);

/* irq.c */
void sim_irq_raise(struct mock_chip *chip, uint32_t bits);
void sim_irq_firmware(struct mock_chip *chip, uint32_t bits); /* the same, with bit 23 beside it */
void sim_irq_channel(struct mock_chip *chip, unsigned int ch);
/* Send the MSIs that are owed; drops the lock meanwhile.  Chip threads only. */
void sim_irq_flush(struct mock_chip *chip);

/* bar.c: chip memory; NULL where there is none */
uint8_t *sim_mem(struct mock_chip *chip, uint64_t addr, size_t len);

/* boot.c */
void sim_power_on(struct mock_chip *chip, bool running);
void sim_boot_trigger(struct mock_chip *chip);
void sim_soft_reset(struct mock_chip *chip);
/* A crashed firmware is restarted: the boot loader runs, nobody was told. */
void sim_watchdog_reboot(struct mock_chip *chip);
/* Let due timers happen; returns when to look again, 0: no timer. */
uint64_t sim_life_step(struct mock_chip *chip, uint64_t now_ns);

/* firmware.c: serve the doorbell bits @bell in state RUNNING; drops the lock at times */
void sim_doorbell(struct mock_chip *chip, uint32_t bell);

/* A request whose parameters were walked, and the parameters of its answer. */
#define SIM_PARAMS_MAX 16u
struct sim_request {
	uint32_t sequence, opcode;
	unsigned int count;
	struct span param[SIM_PARAMS_MAX];
};
struct sim_answer {
	uint8_t bytes[FW_CONTROL_MAX];
	size_t len;
	uint32_t count;
	uint32_t minor; /* of a refusal, where it is not the major word again */
	bool mute; /* RESET of types 2 and 3 */
};
void sim_answer_param(struct sim_answer *a, const void *data, size_t len);

/* log.c: a line into one CPU's log, dropped when it does not fit */
void sim_log(struct mock_chip *chip, bool core, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* event.c */
void sim_event_post(struct mock_chip *chip, enum fw_event event, uint32_t module, bool critical,
		    uint32_t params, const void *payload, uint16_t len);
void sim_event_storm(struct mock_chip *chip); /* begin with the ordered storm */
void sim_event_run_time_error(struct mock_chip *chip, uint32_t status, uint8_t app, uint16_t batch,
			      uint16_t context, uint16_t action);
void sim_event_slot_written(struct mock_chip *chip); /* the host wrote the event header */
void sim_event_reset(struct mock_chip *chip);

/* actions.c (pure) */
/* Unroll an action list; 0 or the firmware status that answers it.  -> @acts is malloc()ed. */
uint32_t sim_actions_walk(struct span list, struct sim_act **acts, size_t *count);

/* context.c: each returns a firmware status */
uint32_t sim_set_header(struct mock_chip *chip, const struct sim_request *req);
uint32_t sim_set_context(struct mock_chip *chip, const struct sim_request *req);
uint32_t sim_clear_apps(struct mock_chip *chip);
void sim_apps_restart(struct mock_chip *chip); /* as when the firmware starts */
void sim_apps_free(struct mock_chip *chip);

/* activate.c */
uint32_t sim_switch_status(struct mock_chip *chip, const struct sim_request *req);
/* The active application's run, NULL: none. */
struct sim_run *sim_active(struct mock_chip *chip);
/*
 * End the active run, abort every channel, and wait until no DMA is under way: none will follow.
 * Drops the lock while it waits.
 */
void sim_quiesce(struct mock_chip *chip);
void sim_run_free(struct sim_run *run); /* without the lock */
struct sim_stream *sim_run_stream(struct sim_run *run, unsigned int ch);
static inline bool sim_is_input(unsigned int ch)
{
	return ch < CHIP_VDMA_FIRST_D2H;
}

/* run.c */
void *sim_engine_main(void *chip);
/* Of the context that runs. */
struct mock_context_stats *sim_run_stats(struct mock_chip *chip, const struct sim_run *run);
/* Number of the dynamic context that runs, 0 before the first. */
static inline size_t sim_run_dynamic(const struct sim_run *run)
{
	return run->multi && run->ctx > run->first_dynamic ? run->ctx - run->first_dynamic : 0;
}
/* Stop the network for good: fault text and event 12. */
void sim_run_fail(struct mock_chip *chip, struct sim_run *run, uint32_t status, const char *fmt,
		  ...) __attribute__((format(printf, 4, 5)));

/* function.c: what computes a run's frames.  The engine's, without the lock unless they say so. */
struct sim_function;
/* With the lock; NULL: no memory. */
struct sim_function *sim_function_new(struct mock_chip *chip, const struct sim_app *app);
void sim_function_free(struct sim_function *fn);
/* Dynamic context @dynamic begins: what comes from now on configures and feeds its part; -ENOMEM.
 */
int sim_function_begin(struct sim_function *fn, size_t dynamic);
/* As core_feed(), core_stream_done(), core_ready(), core_error(). */
int sim_function_feed(struct sim_function *fn, unsigned int stream, const uint8_t *data,
		      size_t len);
bool sim_function_stream_done(const struct sim_function *fn, unsigned int stream);
int sim_function_ready(struct sim_function *fn);
const char *sim_function_error(const struct sim_function *fn);
/* Microcode arrived, so the outputs are not computed by the network. */
bool sim_function_is_standin(const struct sim_function *fn);
const struct core_port *sim_function_ports(struct sim_function *fn, const struct sim_run *run,
					   size_t *count);
/* From @run's gathered inputs to the rows that the host buffers; 0 or a negative errno. */
int sim_function_rows(struct sim_run *run);
/* From @run's gathered inputs, and those rows read back, to its outputs; -EPROTO: too early. */
int sim_function_run(struct mock_chip *chip, struct sim_run *run);

/* stream.c: move what can be moved of frames; true if something did */
bool sim_stream_step(struct mock_chip *chip, struct sim_run *run);
/* Nothing of a frame is inside, so that its streams and its batch may change. */
bool sim_stream_idle(const struct sim_run *run);
void sim_channel_failed(struct mock_chip *chip, struct sim_run *run);

/* inner.c: streams between contexts and through host memory (protocol 4.4, 5.8); 0 or a status */
uint32_t sim_inner_activate(struct mock_chip *chip, struct sim_run *run, const struct sim_act *act);
uint32_t sim_inner_deactivate(struct mock_chip *chip, struct sim_run *run, const uint8_t *p,
			      bool only_check);
uint32_t sim_inner_fetch(struct mock_chip *chip, struct sim_run *run, const uint8_t *p);
uint32_t sim_ddr_pair(struct sim_run *run, const uint8_t *p);
void sim_ddr_start(struct mock_chip *chip, struct sim_run *run);
uint32_t sim_ddr_reset(struct sim_run *run);
/* @bytes of @s moved: into the context's statistics. */
void sim_inner_count(struct mock_chip *chip, const struct sim_run *run, const struct sim_stream *s,
		     size_t bytes);
/* Send rows to the host and fetch them again; true if something moved. */
bool sim_rows_step(struct mock_chip *chip, struct sim_run *run, bool *finished);
/* Run the batch-switching list (protocol 4.6.2) for @run's new batch. */
void sim_batch_switch(struct mock_chip *chip, struct sim_run *run);
/* Can it only be run when no frame is inside? */
bool sim_batch_switch_waits(const struct mock_chip *chip, const struct sim_run *run);
/* All config bytes arrived and the core took them?  Fails the run and returns false if not. */
bool sim_core_check(struct mock_chip *chip, struct sim_run *run);

/* vdma.c */
struct sim_host_buffer {
	uint8_t type;
	uint64_t list;
	uint32_t page, count, pattern;
};
void sim_host_buffer(const uint8_t *p, struct sim_host_buffer *out);
/* 0 or the status that says what is wrong with it; @ring: a boundary list. */
uint32_t sim_host_buffer_check(const struct sim_host_buffer *hbi, bool ring);
void sim_chan_open(struct mock_chip *chip, unsigned int ch, const struct sim_host_buffer *hbi,
		   bool ring);
void sim_chan_abort(struct mock_chip *chip, unsigned int ch);
/* The firmware makes @n more descriptors of a channel available. */
void sim_chan_grant(struct mock_chip *chip, unsigned int ch, uint32_t n);
/* Descriptors that may be consumed now. */
uint32_t sim_chan_available(const struct sim_chan *c);
/*
 * Consume up to SIM_BURST of the available descriptors, moving exactly their bytes between the
 * host and @data, never more than @room.  Drops the lock while it talks to the host.  @moved:
 * bytes.  Returns how many descriptors, 0: nothing to do now, -ECANCELED: the channel was stopped
 * meanwhile, -EIO: channel error, the channel is stopped and @chip->fault says why.
 */
int sim_chan_move(struct mock_chip *chip, unsigned int ch, uint8_t *data, size_t room, uint32_t max,
		  size_t *moved);
/* D2H: 1: the available descriptors hold a frame of exactly @bytes, 0: not yet; errors as above. */
int sim_chan_room(struct mock_chip *chip, unsigned int ch, size_t bytes);

/* nms.c: boxes as the answer on an output of an NMS; 0 with s->total 0: it is none.  -ENOMEM */
int sim_nms_answer(const struct sim_run *run, struct sim_stream *s, uint32_t frame);

#endif
