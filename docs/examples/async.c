// SPDX-License-Identifier: MIT
/*
 * libhwlayer, the fast way: many frames in flight, a callback for each, a deadline, and an orderly
 * stop, also on Ctrl-C.  Inputs are bytes as the chip takes them, answers real numbers.
 *	cc async.c $(pkg-config --static --cflags --libs hwlayer) -o async
 *	./async mock imu-motion.hef 1000
 */
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <hwlayer/hwlayer.h>

#define IN_FLIGHT 8	 /* enough that the chip need not wait for this program */
#define DEADLINE_MS 5000 /* for each frame, from its submission */
#define MAX_OUTPUTS 8

struct frame {
	int status;		    /* of its completion */
	float *answer[MAX_OUTPUTS]; /* belongs to the library from submission to completion */
};

static sem_t room; /* IN_FLIGHT minus the frames that are on their way */
static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

/* Runs on the device's own thread, which has more to do: note what happened and return. */
static void frame_done(int status, const struct hw_error *err, void *user)
{
	struct frame *f = user;

	if (status < 0)
		fprintf(stderr, "async: %s\n", err->text); /* the text is gone when this returns */
	f->status = status;
	sem_post(&room);
}

/* Returns how many frames were submitted; all of them are completed by then. */
static size_t pump(struct hw_net *net, struct frame *frames, size_t count)
{
	size_t sent = 0, n, in_bytes = hw_net_inputs(net, &n)->frame_bytes;
	unsigned char *in = malloc(in_bytes);
	struct hw_error err;
	int r = n == 1 && in ? 0 : -EINVAL;

	while (r == 0 && sent < count && !stop) {
		const struct hw_submit s = {
		    .inputs = (const void *[]){in}, /* read before hw_net_submit() returns */
		    .outputs = (void **)frames[sent].answer,
		    .timeout_ms = DEADLINE_MS,
		    .done = frame_done,
		    .user = &frames[sent],
		};

		for (size_t i = 0; i < in_bytes; i++)
			in[i] = (unsigned char)(sent * 31 + i * 7);
		while (sem_wait(&room) < 0)
			; /* a signal came: what is on its way must still be waited for */
		/* A late frame is answered, but keeps its slot until the chip is through with it. */
		while ((r = hw_net_submit(net, &s, &err)) == -EAGAIN)
			usleep(1000);
		if (r < 0) {
			fprintf(stderr, "async: frame %zu: %s\n", sent, err.text);
			sem_post(&room); /* refused: no callback comes */
		}
		sent += r == 0;
	}
	/* The orderly stop: nothing new, and what was taken is answered. */
	for (int i = 0; i < IN_FLIGHT; i++)
		while (sem_wait(&room) < 0)
			;
	free(in);
	return sent;
}

int main(int argc, char **argv)
{
	struct hw_net_options o = {.frames_in_flight = IN_FLIGHT, .output_type = HW_TYPE_F32};
	struct hw_dev_options device = {.device = argc == 4 ? argv[1] : NULL};
	size_t count = argc == 4 ? strtoul(argv[3], NULL, 10) : 0, sent = 0, ok = 0, n_out = 0;
	struct frame *frames = calloc(count + 1, sizeof(*frames)); /* all answers are kept */
	const struct hw_tensor_info *out;
	struct hw_dev *dev = NULL;
	struct hw_net *net = NULL;
	struct hw_error err;

	signal(SIGINT, on_signal);
	sem_init(&room, 0, IN_FLIGHT);
	if (!count || !frames)
		fprintf(stderr, "usage: async DEVICE MODEL.hef FRAMES\n");
	else if (hw_dev_open(&device, &dev, &err) < 0 || hw_net_load(dev, argv[2], &o, &net, &err) < 0)
		fprintf(stderr, "async: %s\n", err.text);
	else if ((out = hw_net_outputs(net, &n_out)) && n_out <= MAX_OUTPUTS) {
		for (size_t i = 0; i < count * n_out; i++)
			frames[i / n_out].answer[i % n_out] = calloc(1, out[i % n_out].frame_bytes);
		sent = pump(net, frames, count);
		for (size_t i = 0; i < sent; i++) {
			ok += frames[i].status == 0;
			for (size_t k = 0; k < out->elements; k++)
				printf("%.9g ", (double)frames[i].answer[0][k]);
			printf("status %d\n", frames[i].status);
		}
		printf("%zu submitted, %zu answered well\n", sent, ok);
	}
	for (size_t i = 0; frames && i < count * MAX_OUTPUTS; i++)
		free(frames[i / MAX_OUTPUTS].answer[i % MAX_OUTPUTS]);
	hw_net_free(net); /* would cancel what is in flight; nothing is */
	hw_dev_close(dev);
	free(frames);
	return sent && ok == sent ? EXIT_SUCCESS : EXIT_FAILURE;
}
