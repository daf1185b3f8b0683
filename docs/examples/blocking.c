// SPDX-License-Identifier: MIT
/*
 * libhwlayer, the short way: open a device, load a network, run one window of sensor data through
 * it and wait, print what came out, close.
 *
 *	cc blocking.c $(pkg-config --static --cflags --libs hwlayer) -o blocking
 *	./blocking mock imu-motion.hef sample-walk.json
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include <hwlayer/hwlayer.h>
#include <hwlayer/manifest.h>

#define MAX_OUTPUTS 8

/* Every call that fails leaves one sentence; an application decides who gets to read it. */
static int complain(const struct hw_error *err)
{
	fprintf(stderr, "blocking: %s (error %d)\n", err->text, err->code);
	return EXIT_FAILURE;
}

/* The numbers of a text file in their order, whatever is between them: enough for a window in JSON. */
static size_t read_numbers(const char *path, float *out, size_t max)
{
	FILE *f = fopen(path, "r");
	size_t n = 0;
	int c;

	while (f && n < max && (c = getc(f)) != EOF) {
		if (!isdigit(c) && c != '-')
			continue;
		ungetc(c, f);
		if (fscanf(f, "%f", &out[n]) == 1)
			n++;
	}
	if (f)
		fclose(f);
	return n;
}

/* One window: raw sensor values in, real numbers out. */
static int run_window(struct hw_net *net, const struct hw_manifest *m, const char *path)
{
	const struct hw_tensor_info *in, *out;
	float *values, *answer[MAX_OUTPUTS] = {NULL};
	size_t n_in, n_out;
	struct hw_error err;
	int r = EXIT_SUCCESS;

	/* Tensors say what a frame looks like; they belong to the network. */
	in = hw_net_inputs(net, &n_in);
	out = hw_net_outputs(net, &n_out);
	if (n_in != 1 || n_out > MAX_OUTPUTS || in->elements != (size_t)m->timesteps * m->channels) {
		fprintf(stderr, "blocking: this network does not take one window\n");
		return EXIT_FAILURE;
	}
	values = malloc(in->frame_bytes);
	for (size_t i = 0; i < n_out; i++)
		answer[i] = calloc(1, out[i].frame_bytes);
	if (read_numbers(path, values, in->elements) != in->elements) {
		fprintf(stderr, "blocking: %s is no window of %zu numbers\n", path, in->elements);
		r = EXIT_FAILURE;
	} else {
		/* The network wants what it was trained on; the manifest knows how to get there. */
		hw_manifest_input(m, values, values);
		if (hw_net_run(net, (const void *[]){values}, (void **)answer, 1000, &err) < 0)
			r = complain(&err);
	}
	for (size_t i = 0; i < n_out; i++) {
		for (size_t k = 0; r == EXIT_SUCCESS && k < out[i].elements; k++)
			printf("%s %.9g%s", k ? "" : out[i].name, (double)answer[i][k],
			       k + 1 < out[i].elements ? "" : "\n");
		free(answer[i]);
	}
	free(values);
	return r;
}

int main(int argc, char **argv)
{
	/* Handing in and getting floats leaves quantisation to the library. */
	const struct hw_net_options floats = {.input_type = HW_TYPE_F32, .output_type = HW_TYPE_F32};
	struct hw_dev_options device = {0};
	struct hw_manifest *m = NULL;
	struct hw_dev *dev = NULL;
	struct hw_net *net = NULL;
	struct hw_error err;
	char path[4096];
	int status = EXIT_FAILURE;

	if (argc != 4) {
		fprintf(stderr, "usage: blocking DEVICE MODEL.hef WINDOW.json\n");
		return 2;
	}
	device.device = argv[1]; /* "auto" is the first card; "mock" a chip in software */
	if (hw_manifest_path(argv[2], path, sizeof(path)) < 0)
		return EXIT_FAILURE;
	if (hw_manifest_read(path, &m, &err) < 0 || hw_dev_open(&device, &dev, &err) < 0 ||
	    hw_net_load(dev, argv[2], &floats, &net, &err) < 0)
		complain(&err);
	else
		status = run_window(net, m, argv[3]);

	/* In reverse order.  Each takes NULL, so no step has to ask how far main() came. */
	hw_net_free(net);
	hw_dev_close(dev);
	hw_manifest_free(m);
	return status;
}
