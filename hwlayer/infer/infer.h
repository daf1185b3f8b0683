// SPDX-License-Identifier: MIT
/*
 * Behind the public header: one device, its owner thread, and the frames in flight.
 *
 * The owner thread is the only one that touches the chip once hw_dev_open() returned.  Others
 * reach it in two ways: a job (infer_call(), for everything that talks to the firmware) and the
 * submission queue of a network.  Both are guarded by hw_dev.lock and announced on wake_fd.
 * Completions run on the owner thread, without the lock.
 */
#ifndef HWLAYER_INFER_INFER_H
#define HWLAYER_INFER_INFER_H

#include <pthread.h>

#include "chip/chip.h"
#include "hef/hef.h"
#include "host/net.h"
#include "network/network.h"
#include "vdma/vdma.h"

struct infer_job {
	int (*fn)(struct hw_dev *dev, void *arg, struct hw_error *err);
	void *arg;
	struct hw_error *err;
	bool idle;                   /* it waits until no frame is on the chip */
	int result;
	bool done;
	struct infer_job *next;
};

struct hw_dev {
	struct backend *be;
	struct chip chip;
	struct hw_dev_info info;
	bool chip_ready;             /* booted and identified */
	bool no_boot;                /* opened only to look at it */
	char *mock_onnx;             /* hw_dev_options.mock_onnx, or NULL */
	bool suspended;
	struct chip_boot_options boot; /* kept for the next boot; the bytes are the device's own */
	hw_event_fn event_fn;        /* owner thread */
	void *event_user;
	uint64_t event_second;       /* events logged in this second of the clock, and how many */
	unsigned int event_lines;
	pthread_t thread;
	bool running;
	int wake_fd;
	pthread_mutex_t lock;
	pthread_cond_t cond;         /* a job is done, a slot is free */
	struct infer_job *jobs;
	bool stop;
	struct hw_net *nets;         /* configured, in the order of loading; owner thread */
	struct hw_net *active;       /* of these the one that has the chip, NULL: none; owner thread */
	uint64_t turns;              /* how often the chip was given to a network */
	size_t frame_guard;          /* bytes around each frame of networks to come, 0 unless hwctl tests */
	bool apps_cleared;           /* RESET and CLEAR were taken since the boot: apps.c */
	bool apps_known;             /* what the firmware has is what we think */
	unsigned int next_app;       /* the number of the next one; FW_APPS_MAX: no room */
};

/* One stream of a network: what host_net makes frames for, or of, and its channel. */
struct infer_stream {
	struct network_stream *stream;
	size_t index;                /* of it, among the network's inputs or outputs in the file's order */
	struct vdma_channel channel;
	struct backend_dma mem;      /* all slots (or pieces), one after another */
	size_t guard, stride;
	size_t pieces;               /* 0; or buffers of one transfer each, where frames come in pieces */
	unsigned int first_piece;    /* the one that comes back next */
	bool whole;                  /* all pieces of the oldest frame are there */
	unsigned int waiting;        /* youngest frames on the chip that were not launched here yet */
};

/* Where a slot's frame is in mem. */
static inline size_t infer_slot_offset(const struct infer_stream *s, unsigned int slot)
{
	return s->guard + s->stride * slot;
}

enum infer_slot_state { SLOT_FREE, SLOT_FILLING, SLOT_QUEUED, SLOT_ON_CHIP };

struct infer_slot {
	enum infer_slot_state state;
	unsigned int index;
	unsigned int pending;        /* transfers that have not come back */
	uint64_t submit_ns, launch_ns, deadline_ns;
	uint64_t begun_ns;           /* its input was seen to move; 0: not yet */
	bool answered;               /* its user was told already (timed out) */
	void **outputs;              /* user frames, one for each output of the user's */
	hw_done_fn done;
	void *user;
	struct infer_slot *next;     /* submission queue */
};

struct hw_net {
	struct hw_dev *dev;
	struct hw_net *next;         /* hw_dev.nets */
	struct network *plan;
	char name[HW_NAME_MAX];
	char *function;              /* hw_net_function() */
	size_t n_inputs, n_outputs;              /* streams */
	struct infer_stream *inputs, *outputs;
	struct host_net *host;                   /* what its user sees, and how it is made */
	struct hw_tensor_info *input_info, *output_info;
	size_t n_slots;
	struct infer_slot *slots;
	bool measure_latency;
	struct infer_slot *by_order[VDMA_TRANSFERS_MAX + 1]; /* on chip, oldest first (a ring) */
	unsigned int order_first, order_count;
	struct infer_slot *queue, **queue_tail;  /* dev->lock */
	unsigned int queued;         /* frames in it */
	uint32_t dynamic_batch;      /* hw_net_options, as take_turns */
	uint32_t gather;             /* frames of a network of several contexts that start together; 0: any */
	bool take_turns;
	uint32_t batch;              /* frames that the chip takes at a time since the last ENABLED */
	uint64_t last_turn;          /* hw_dev.turns when it got the chip last */
	unsigned int turn_frames;    /* launched since then */
	int dead;                    /* -errno, 0 while alive; dev->lock */
	struct hw_error dead_err;
	bool closing;
	unsigned int callers;        /* threads in hw_net_submit() or waiting for a slot; dev->lock */
	uint64_t progress_ns;        /* last time a transfer finished or the chip went from idle to busy */
	uint64_t busy_since_ns;      /* 0 while idle; dev->lock */
	uint64_t irq_base;           /* chip->irq_count when its stats were last brought up to date, ... */
	uint64_t missed_base, spurious_base;
	uint64_t looked_ns;          /* counters were read without an interrupt */
	struct hw_net_stats stats;   /* dev->lock */
	struct hef *hef;             /* @host points into its layers */
};

/* Frames, or pieces of frames, that the stream's memory has room for. */
static inline unsigned int infer_stream_slots(const struct hw_net *net, const struct infer_stream *s)
{
	return (unsigned int)(s->pieces ? s->pieces : net->n_slots);
}

/* The @i-th oldest frame on the chip. */
static inline struct infer_slot *infer_on_chip(const struct hw_net *net, unsigned int i)
{
	return net->by_order[(net->order_first + i) % ARRAY_SIZE(net->by_order)];
}

/* Run @fn on the owner thread and wait for it.  Must not be called from that thread. */
int infer_call(struct hw_dev *dev, int (*fn)(struct hw_dev *, void *, struct hw_error *), void *arg,
	       struct hw_error *err);
/* The same, once the frames that are on the chip came back; no other is launched before @fn ran. */
int infer_call_idle(struct hw_dev *dev, int (*fn)(struct hw_dev *, void *, struct hw_error *),
		    void *arg, struct hw_error *err);
void infer_wake(struct hw_dev *dev);
/* What the firmware says, or garbles, becomes what the public header promises. */
static inline int infer_public_code(int r)
{
	return r == -EREMOTEIO || r == -EBADMSG ? -EIO : r;
}

/*
 * hw_dev_open() for a backend that is open already; it is closed with the device, and also when
 * this fails.  Tests come in here with an interposed backend.
 */
int infer_dev_open(struct backend *be, const struct chip_boot_options *boot, bool no_boot,
		   struct hw_dev **out, struct hw_error *err);

/* net.c, pure: what hwctl hef check asks beforehand */
/* Do they speak of the same streams, and can frames come on each?  -ENOTSUP */
int infer_check_streams(const struct host_net *host, const struct network *plan, struct hw_error *err);
/* DMA memory of one frame on a stream. */
size_t infer_slot_bytes(const struct network_stream *s);
/*
 * As many frames as wanted (0: 8) and every ring and FIFO can hold (protocol 6.3, 6.5); of several
 * contexts at least a batch.
 */
size_t infer_slot_count(const struct network *plan, uint32_t wanted);

/* pieces.c, owner thread only, except the first */
/* Buffers for a stream whose frames come in pieces: as many as its descriptor list takes. */
size_t infer_piece_count(const struct network_stream *s);
/* Queue all buffers that are not; as vdma_channel_launch(). */
int infer_pieces_launch(struct infer_stream *s);
/* Take what came for the oldest frame.  How many transfers, or as vdma_channel_reap(); -EBADMSG */
int infer_pieces_reap(struct hw_net *net, struct infer_stream *s);

/* apps.c, owner thread only */
void infer_apps_booted(struct hw_dev *dev);  /* the chip has been started anew */
void infer_apps_unknown(struct hw_dev *dev); /* clear before the next configuration */
/* The firmware has what we think it has; otherwise everything is configured afresh. */
int infer_apps_ready(struct hw_dev *dev, struct hw_error *err);
/* Likewise, and there is room for one more. */
int infer_apps_room(struct hw_dev *dev, struct hw_error *err);
/* network_configure() as the next application. */
int infer_apps_configure(struct hw_net *net, struct hw_error *err);
void infer_apps_close(struct hw_dev *dev);   /* leave the chip without any */

/* switch.c, owner thread only: which network has the chip */
/* Are frames on the chip that are going to come back? */
bool infer_switch_busy(const struct hw_dev *dev);
/* ENABLED for a network that was just configured. */
int infer_switch_start(struct hw_net *net, struct hw_error *err);
/* Whoever has the chip loses it; no DMA is under way afterwards. */
void infer_switch_stop(struct hw_dev *dev);
/* The chip was stopped by other means. */
void infer_switch_stopped(struct hw_dev *dev);
void infer_switch_kill_all(struct hw_dev *dev, int code, const char *text);
void infer_switch_service(struct hw_dev *dev); /* reap, deadlines, launch, give the chip to another */
int infer_switch_timeout_ms(struct hw_dev *dev); /* for poll(), -1: none */

/* life.c, owner thread only */
int infer_chip_usable(const struct hw_dev *dev, struct hw_error *err); /* 0, or -EINVAL, -EIO: why not */
/* Ask for what IDENTIFY does not tell, and put it into dev->info. */
int infer_query_info(struct hw_dev *dev, struct hw_error *err);
void infer_event(const struct chip_event *ev, void *dev);

#define INFER_GONE "the card does not answer any more: it fell off the bus or was removed"

/* function.c: what will compute the frames of a planned network; sets hw_net.function */
int infer_choose_function(struct hw_dev *dev, struct hw_net *net, struct hw_error *err);
/* Before each configuration of it: a chip in software that needs to be told is. */
int infer_order_function(struct hw_net *net, struct hw_error *err);
void infer_warn_function(const struct hw_net *net); /* into the log, if the network itself does not */

/* launch.c, owner thread only */
void infer_launch(struct hw_net *net, struct infer_slot *slot); /* behind all that are on the chip */
void infer_launch_rest(struct hw_net *net);            /* what there was no room for */

/* frame.c, owner thread only */
void infer_channel_failed(struct hw_net *net, const struct infer_stream *s, int r);
void infer_net_event(struct hw_net *net, const struct chip_event *ev);
void infer_net_attach(struct hw_net *net);             /* it has the chip, its channels are fresh */
void infer_net_service(struct hw_net *net);            /* of the active one: reap, deadlines */
void infer_net_expire(struct hw_net *net);             /* deadlines of frames that wait to be launched */
void infer_net_launch(struct hw_net *net, unsigned int n); /* up to @n of these */
uint64_t infer_net_deadline_ns(struct hw_net *net); /* the next one, UINT64_MAX: none */
void infer_net_kill(struct hw_net *net, int code, const char *text);
void infer_net_cancel(struct hw_net *net, int code, const struct hw_error *err);
#define INFER_LOOK_MS 50 /* read the counters this often even without an interrupt */

#endif
