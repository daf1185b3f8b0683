// SPDX-License-Identifier: MIT
/* Settings from the environment, checked before anything is started. */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <hwlayer/hwlayer.h>
#include <hwlayer/log.h>

#define CONFIG_VERSION_LEN 12
#define CONFIG_ERROR_MAX 512

struct config {
	char hef_path[4096];
	char device[32]; /* as hw_dev_options.device wants it */
	bool mock;	 /* the device is the chip in software, by explicit order */
	char mock_onnx[4096]; /* as hw_dev_options.mock_onnx, "" for none */
	char mock_faults[512]; /* as hw_dev_options.mock_faults; an option, not a setting */
	bool unsafe_no_iommu; /* as hw_dev_options.unsafe_no_iommu */
	bool cached_dma; /* as hw_dev_options.cached_dma */
	char host[256];
	uint32_t port;
	enum hw_log_level log_level;
	uint32_t workers;
	uint32_t queue_size;
	uint32_t timeout_ms;
	uint32_t request_timeout_ms;
	uint32_t max_body;
	uint32_t num_motifs;
	bool allow_no_motifs;
	char model_version[64];
	char version[CONFIG_VERSION_LEN +
		     1]; /* of the configuration: sha256 of its canonical text */
};

/**
 * config_read - the effective configuration
 * @get: looks a setting up by name, getenv() outside of tests
 * @error: one line naming the setting that is wrong and what it may be
 *
 * Return: 0, -EINVAL.
 */
int config_read(struct config *c, char *(*get)(const char *name), char error[CONFIG_ERROR_MAX]);

/**
 * config_mock_fault - one --mock-fault of the command line; after config_read()
 *
 * Return: 0, or -EINVAL with one line in @error.
 */
int config_mock_fault(struct config *c, const char *spec, char error[CONFIG_ERROR_MAX]);

/* config_print - the canonical text: one "NAME=value" line for each setting, in fixed order */
void config_print(const struct config *c, FILE *out);

/* config_help - name, default and meaning of each setting, for --help */
void config_help(FILE *out);

const char *config_log_level(const struct config *c);

#endif
