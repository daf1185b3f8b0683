// SPDX-License-Identifier: MIT
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <openssl/evp.h>

#ifndef HW_DEFAULT_MODEL
#define HW_DEFAULT_MODEL "/usr/share/hailo-inference/models/imu-motion.hef"
#endif

enum kind { TEXT, NUMBER, BOOL, LEVEL };

/* Every setting once: reading, printing, help and the configuration's version follow this table. */
static const struct setting {
	const char *name;
	enum kind kind;
	size_t offset, size; /* field of struct config; size matters for TEXT */
	const char *fallback;
	uint32_t min, max; /* NUMBER only */
	const char *help;
} settings[] = {
#define FIELD(f) offsetof(struct config, f), sizeof(((struct config *)0)->f)
    {"HEF_PATH", TEXT, FIELD(hef_path), "", 0, 0, "model; its manifest lies beside it as .json"},
    {"HAILO_DEVICE_ID", TEXT, FIELD(device), "auto", 0, 0,
     "auto, 0, a PCI address, mock or mock:8l"},
    {"MOCK_ONNX", TEXT, FIELD(mock_onnx), "", 0, 0,
     "with a mock: ONNX file that answers instead of a vendor's HEF"},
    {"UNSAFE_NO_IOMMU", BOOL, FIELD(unsafe_no_iommu), "false", 0, 0,
     "take a card without an IOMMU: it can then overwrite any of the machine's memory"},
    {"CACHED_DMA", BOOL, FIELD(cached_dma), "false", 0, 0,
     "with hailo_uio: data in cached memory (docs/kernel-module.md)"},
    {"NUM_MOTIFS", NUMBER, FIELD(num_motifs), "12", 1, 1024, "motif scores in each answer"},
    {"ALLOW_NO_MOTIFS", BOOL, FIELD(allow_no_motifs), "false", 0, 0,
     "serve zeros as scores when the model has none"},
    {"MODEL_VERSION", TEXT, FIELD(model_version), "", 0, 0, "instead of the manifest's version"},
    {"SIDECAR_HOST", TEXT, FIELD(host), "0.0.0.0", 0, 0, "address to listen on"},
    {"SIDECAR_PORT", NUMBER, FIELD(port), "9000", 0, 65535, "0 takes a free port and prints it"},
    {"WORKERS", NUMBER, FIELD(workers), "2", 1, 64, "HTTP threads"},
    {"QUEUE_SIZE", NUMBER, FIELD(queue_size), "64", 1, 4096,
     "requests that may wait for a frame slot of the chip; one more gets 503"},
    {"BACKEND_TIMEOUT_MS", NUMBER, FIELD(timeout_ms), "1000", 1, 600000,
     "time for one inference, waiting included; then 504"},
    {"REQUEST_TIMEOUT_MS", NUMBER, FIELD(request_timeout_ms), "30000", 100, 600000,
     "time a client has to send its request; then 408"},
    {"MAX_BODY_BYTES", NUMBER, FIELD(max_body), "10485760", 1024, 1u << 30,
     "largest request body; beyond it 413"},
    {"LOG_LEVEL", LEVEL, FIELD(log_level), "info", 0, 0, "debug, info, warning or error"},
#undef FIELD
};

static const char *const level_names[] = {
    [HW_LOG_ERROR] = "error",
    [HW_LOG_WARNING] = "warning",
    [HW_LOG_INFO] = "info",
    [HW_LOG_DEBUG] = "debug",
};

#define N_SETTINGS (sizeof(settings) / sizeof(settings[0]))
#define N_LEVELS (sizeof(level_names) / sizeof(level_names[0]))

__attribute__((format(printf, 2, 3))) static int bad(char *error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error, CONFIG_ERROR_MAX, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int parse_bool(const char *text, bool *out)
{
	static const char *const words[][2] = {
	    {"false", "true"}, {"0", "1"}, {"no", "yes"}, {"off", "on"}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		for (int v = 0; v < 2; v++) {
			if (strcasecmp(text, words[i][v]) == 0) {
				*out = v;
				return 0;
			}
		}
	}
	return -EINVAL;
}

static int parse_number(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	unsigned long long v;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || *end || v < min || v > max)
		return -EINVAL;
	*out = (uint32_t)v;
	return 0;
}

static int parse_setting(struct config *c, const struct setting *s, const char *text, char *error)
{
	void *field = (char *)c + s->offset;

	switch (s->kind) {
	case TEXT:
		if (strlen(text) >= s->size || strpbrk(text, "\n\r"))
			return bad(error, "%s is too long or not one line", s->name);
		memcpy(field, text, strlen(text) + 1);
		return 0;
	case NUMBER:
		if (parse_number(text, s->min, s->max, field))
			return bad(error, "%s=%s: must be a whole number from %u to %u", s->name,
				   text, s->min, s->max);
		return 0;
	case BOOL:
		if (parse_bool(text, field))
			return bad(error, "%s=%s: must be true or false", s->name, text);
		return 0;
	case LEVEL:
		for (size_t i = 0; i < N_LEVELS; i++) {
			if (strcasecmp(text, level_names[i]) == 0) {
				*(enum hw_log_level *)field = (enum hw_log_level)i;
				return 0;
			}
		}
		return bad(error, "%s=%s: must be debug, info, warning or error", s->name, text);
	}
	return -EINVAL;
}

/* "01:00.0" or "0000:01:00.0" to the long form. */
static bool parse_bdf(const char *text, char *out, size_t size)
{
	unsigned int domain = 0, bus, slot, fn;
	int n = 0;

	if (sscanf(text, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &fn, &n) != 4 || text[n]) {
		domain = 0;
		n = 0;
		if (sscanf(text, "%2x:%2x.%1x%n", &bus, &slot, &fn, &n) != 3 || text[n])
			return false;
	}
	if (slot > 31 || fn > 7)
		return false;
	snprintf(out, size, "%04x:%02x:%02x.%x", domain, bus, slot, fn);
	return true;
}

/* HAILO_DEVICE_ID and USE_REAL_MODEL name the device together; the second is the older one. */
static int settle_device(struct config *c, const char *use_real, char *error)
{
	char asked[sizeof(c->device)];
	bool any, real = true;

	memcpy(asked, c->device, sizeof(asked));
	any = strcmp(asked, "auto") == 0 || strcmp(asked, "0") == 0;
	c->mock = strcmp(asked, "mock") == 0 || strcmp(asked, "mock:8") == 0 ||
		  strcmp(asked, "mock:8l") == 0;
	if (any)
		strcpy(c->device, "auto");
	else if (!c->mock && !parse_bdf(asked, c->device, sizeof(c->device)))
		return bad(error,
			   "HAILO_DEVICE_ID=%s: must be auto, 0, a PCI address like "
			   "0000:01:00.0, mock or mock:8l",
			   asked);
	if (!use_real)
		return 0;
	if (parse_bool(use_real, &real))
		return bad(error, "USE_REAL_MODEL=%s: must be true or false", use_real);
	if (real && c->mock)
		return bad(error, "USE_REAL_MODEL=true contradicts HAILO_DEVICE_ID=%s", asked);
	if (!real && !c->mock && !any)
		return bad(error,
			   "USE_REAL_MODEL=false asks for the mock, which contradicts "
			   "HAILO_DEVICE_ID=%s",
			   asked);
	if (!real && !c->mock) {
		strcpy(c->device, "mock");
		c->mock = true;
	}
	return 0;
}

static int check_mock_onnx(const struct config *c, char *error)
{
	if (!c->mock_onnx[0])
		return 0;
	if (!c->mock)
		return bad(error,
			   "MOCK_ONNX=%.300s: only a chip in software lets a model answer for "
			   "another, and the device is %s",
			   c->mock_onnx, c->device);
	if (access(c->mock_onnx, R_OK))
		return bad(error, "MOCK_ONNX=%.300s: %s", c->mock_onnx, strerror(errno));
	return 0;
}

/* The build tree's model beside the program wins, so that a checkout never runs an installed one.
 */
static void default_model(char *out, size_t size)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	if (n > 0) {
		exe[n] = 0;
		slash = strrchr(exe, '/');
		if (slash) {
			*slash = 0;
			if (snprintf(out, size, "%s/models/imu-motion.hef", exe) < (int)size &&
			    access(out, R_OK) == 0)
				return;
		}
	}
	snprintf(out, size, "%s", HW_DEFAULT_MODEL);
}

static void hash_version(struct config *c)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	strcpy(c->version, "000000000000");
	if (!f)
		return;
	config_print(c, f);
	if (fclose(f) == 0 && EVP_Digest(text, len, sum, NULL, EVP_sha256(), NULL))
		for (size_t i = 0; i < CONFIG_VERSION_LEN / 2; i++)
			snprintf(c->version + 2 * i, 3, "%02x", sum[i]);
	free(text);
}

static const char *lookup(char *(*get)(const char *), const char *name)
{
	const char *v = get(name);

	return v && *v ? v : NULL; /* an empty variable is how compose files leave one unset */
}

int config_read(struct config *c, char *(*get)(const char *name), char error[CONFIG_ERROR_MAX])
{
	const char *text;
	int r;

	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < N_SETTINGS; i++) {
		text = lookup(get, settings[i].name);
		r = parse_setting(c, &settings[i], text ? text : settings[i].fallback, error);
		if (r)
			return r;
	}
	r = settle_device(c, lookup(get, "USE_REAL_MODEL"), error);
	if (r)
		return r;
	r = check_mock_onnx(c, error);
	if (r)
		return r;
	if (!c->hef_path[0])
		default_model(c->hef_path, sizeof(c->hef_path));
	hash_version(c);
	return 0;
}

int config_mock_fault(struct config *c, const char *spec, char error[CONFIG_ERROR_MAX])
{
	struct hw_dev_options opt = {
	    .device = c->device, .no_boot = true, .mock_faults = c->mock_faults};
	size_t len = strlen(c->mock_faults);
	struct hw_dev *dev = NULL;
	struct hw_error err = {0};
	int r;

	if (!c->mock)
		return bad(error, "--mock-fault is for HAILO_DEVICE_ID=mock, mock:8 and mock:8l");
	if (len + strlen(spec) + 2 > sizeof(c->mock_faults))
		return bad(error, "--mock-fault: too many faults");
	snprintf(c->mock_faults + len, sizeof(c->mock_faults) - len, "%s%s", len ? "," : "", spec);
	/* Only the library knows what they mean; a chip that is dead by order is fine. */
	r = hw_dev_open(&opt, &dev, &err);
	hw_dev_close(dev);
	return r == -EINVAL ? bad(error, "--mock-fault: %s", err.text) : 0;
}

void config_print(const struct config *c, FILE *out)
{
	for (size_t i = 0; i < N_SETTINGS; i++) {
		const struct setting *s = &settings[i];
		const void *field = (const char *)c + s->offset;

		switch (s->kind) {
		case TEXT:
			fprintf(out, "%s=%s\n", s->name, (const char *)field);
			break;
		case NUMBER:
			fprintf(out, "%s=%u\n", s->name, *(const uint32_t *)field);
			break;
		case BOOL:
			fprintf(out, "%s=%s\n", s->name, *(const bool *)field ? "true" : "false");
			break;
		case LEVEL:
			fprintf(out, "%s=%s\n", s->name, config_log_level(c));
			break;
		}
	}
}

void config_help(FILE *out)
{
	for (size_t i = 0; i < N_SETTINGS; i++)
		fprintf(out, "  %-19s %-9s %s\n", settings[i].name, settings[i].fallback,
			settings[i].help);
	fprintf(out, "  %-19s %-9s %s\n", "USE_REAL_MODEL", "",
		"false: the same as HAILO_DEVICE_ID=mock");
}

const char *config_log_level(const struct config *c)
{
	return level_names[c->log_level];
}
