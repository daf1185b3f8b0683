// SPDX-License-Identifier: MIT
#include "metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#define STATUS_MIN 100
#define STATUS_MAX 599

/* Of hailo_inference_duration_seconds (contracts.md section 1), and good for HTTP as well. */
static const double bounds[] = {.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10};
static const char *const bound_texts[] = {"0.001", "0.005", "0.01", "0.025", "0.05", "0.1",
					  "0.25",  "0.5",   "1",    "2.5",   "5",    "10"};
#define BUCKETS (sizeof(bounds) / sizeof(bounds[0]))

static const char *const outcome_names[] = {"success", "invalid", "error"};
static const char *const error_names[] = {"validation",	 "queue_full", "timeout",
					  "unavailable", "device",     "internal"};
static const char *const method_names[] = {"GET", "HEAD", "POST", "OTHER"};

struct histogram {
	uint64_t buckets[BUCKETS + 1]; /* the last one has no bound */
	uint64_t count;
	double sum;
};

struct endpoint {
	struct histogram duration[METHODS];
	uint64_t *status[METHODS]; /* indexed from STATUS_MIN; allocated when first used */
};

struct metrics {
	pthread_mutex_t lock;
	uint64_t outcomes[OUTCOMES], errors[ERROR_TYPES], healthy, unhealthy;
	struct histogram inference;
	double last;
	const char *const *names;
	size_t n_endpoints;
	struct endpoint endpoints[];
};

struct metrics *metrics_new(const char *const *endpoints, size_t n)
{
	struct metrics *m = calloc(1, sizeof(*m) + n * sizeof(m->endpoints[0]));

	if (!m)
		return NULL;
	pthread_mutex_init(&m->lock, NULL);
	m->names = endpoints;
	m->n_endpoints = n;
	return m;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_endpoints; i++)
		for (size_t k = 0; k < METHODS; k++)
			free(m->endpoints[i].status[k]);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static void observe(struct histogram *h, double seconds)
{
	size_t i = 0;

	while (i < BUCKETS && seconds > bounds[i])
		i++;
	h->buckets[i]++;
	h->count++;
	h->sum += seconds;
}

void metrics_inference(struct metrics *m, enum outcome outcome, double seconds)
{
	pthread_mutex_lock(&m->lock);
	m->outcomes[outcome]++;
	if (outcome == OUTCOME_SUCCESS) {
		observe(&m->inference, seconds);
		m->last = seconds;
	}
	pthread_mutex_unlock(&m->lock);
}

void metrics_error(struct metrics *m, enum error_type type)
{
	pthread_mutex_lock(&m->lock);
	m->errors[type]++;
	pthread_mutex_unlock(&m->lock);
}

void metrics_health(struct metrics *m, bool healthy)
{
	pthread_mutex_lock(&m->lock);
	if (healthy)
		m->healthy++;
	else
		m->unhealthy++;
	pthread_mutex_unlock(&m->lock);
}

void metrics_http(struct metrics *m, size_t endpoint, enum http_method method, unsigned int status,
		  double seconds)
{
	struct endpoint *e;

	if (endpoint >= m->n_endpoints || status < STATUS_MIN || status > STATUS_MAX)
		return;
	pthread_mutex_lock(&m->lock);
	e = &m->endpoints[endpoint];
	if (!e->status[method])
		e->status[method] = calloc(STATUS_MAX - STATUS_MIN + 1, sizeof(uint64_t));
	if (e->status[method])
		e->status[method][status - STATUS_MIN]++;
	observe(&e->duration[method], seconds);
	pthread_mutex_unlock(&m->lock);
}

double metrics_last_inference(struct metrics *m)
{
	double last;

	pthread_mutex_lock(&m->lock);
	last = m->last;
	pthread_mutex_unlock(&m->lock);
	return last;
}

/* ---------------------------------------------------------------- printing */

static void head(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* name="value", where value is not ours and may hold anything. */
static void label(FILE *f, const char *name, const char *value)
{
	fprintf(f, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			fprintf(f, "\\%c", *value);
		else if (*value == '\n')
			fputs("\\n", f);
		else
			fputc(*value, f);
	}
	fputc('"', f);
}

/* @labels: what comes before le="...": ready text, or a model's name. */
static void histogram(FILE *f, const char *name, const struct histogram *h, const char *model,
		      const char *labels)
{
	uint64_t total = 0;

	for (int part = 0; part < (int)BUCKETS + 3; part++) {
		bool bucket = part <= (int)BUCKETS;

		fprintf(f, "%s%s{", name,
			bucket			   ? "_bucket"
			: part == (int)BUCKETS + 1 ? "_sum"
						   : "_count");
		if (model)
			label(f, "model", model);
		else
			fputs(labels, f);
		if (bucket) {
			total += h->buckets[part];
			fprintf(f, ",le=\"%s\"} %" PRIu64 "\n",
				part < (int)BUCKETS ? bound_texts[part] : "+Inf", total);
		} else if (part == (int)BUCKETS + 1) {
			fprintf(f, "} %.9g\n", h->sum);
		} else {
			fprintf(f, "} %" PRIu64 "\n", h->count);
		}
	}
}

static void print_inference(const struct metrics *m, const struct metrics_now *now, FILE *f)
{
	head(f, "hailo_inference_requests_total", "counter",
	     "Requests for an inference, by result.");
	for (size_t i = 0; i < OUTCOMES; i++) {
		fprintf(f, "hailo_inference_requests_total{status=\"%s\",", outcome_names[i]);
		label(f, "model", now->model);
		fprintf(f, "} %" PRIu64 "\n", m->outcomes[i]);
	}
	head(f, "hailo_inference_duration_seconds", "histogram",
	     "Time of successful inferences in the service.");
	histogram(f, "hailo_inference_duration_seconds", &m->inference, now->model, NULL);
	head(f, "hailo_errors_total", "counter",
	     "Requests for an inference that failed, by reason.");
	for (size_t i = 0; i < ERROR_TYPES; i++) {
		fprintf(f, "hailo_errors_total{error_type=\"%s\",", error_names[i]);
		label(f, "model", now->model);
		fprintf(f, "} %" PRIu64 "\n", m->errors[i]);
	}
	head(f, "hailo_health_checks_total", "counter", "Answers of /healthz.");
	fprintf(f, "hailo_health_checks_total{status=\"healthy\"} %" PRIu64 "\n", m->healthy);
	fprintf(f, "hailo_health_checks_total{status=\"unhealthy\"} %" PRIu64 "\n", m->unhealthy);
}

static void print_http(const struct metrics *m, FILE *f)
{
	char labels[128];

	head(f, "hailo_http_requests_total", "counter", "HTTP requests answered.");
	for (size_t i = 0; i < m->n_endpoints; i++)
		for (size_t k = 0; k < METHODS; k++)
			for (int s = 0; m->endpoints[i].status[k] && s <= STATUS_MAX - STATUS_MIN;
			     s++)
				if (m->endpoints[i].status[k][s])
					fprintf(f,
						"hailo_http_requests_total{method=\"%s\","
						"endpoint=\"%s\",status_code=\"%d\"} %" PRIu64 "\n",
						method_names[k], m->names[i], s + STATUS_MIN,
						m->endpoints[i].status[k][s]);
	head(f, "hailo_http_request_duration_seconds", "histogram",
	     "Time from the first line of a request to its answer.");
	for (size_t i = 0; i < m->n_endpoints; i++) {
		for (size_t k = 0; k < METHODS; k++) {
			if (!m->endpoints[i].duration[k].count)
				continue;
			snprintf(labels, sizeof(labels), "method=\"%s\",endpoint=\"%s\"",
				 method_names[k], m->names[i]);
			histogram(f, "hailo_http_request_duration_seconds",
				  &m->endpoints[i].duration[k], NULL, labels);
		}
	}
}

static void print_model(const struct metrics_now *now, FILE *f)
{
	head(f, "hailo_model_loaded", "gauge", "1 while the model can serve.");
	fputs("hailo_model_loaded{", f);
	label(f, "model", now->model);
	fputc(',', f);
	label(f, "version", now->version);
	fprintf(f, "} %d\n", now->loaded);
	head(f, "hailo_model_info", "gauge", "The model and what it runs on.");
	fputs("hailo_model_info{", f);
	label(f, "model", now->model);
	fputc(',', f);
	label(f, "hef_path", now->hef_path);
	fprintf(f, ",motifs=\"%u\",", now->motifs_actual);
	label(f, "device", now->device);
	fputs("} 1\n", f);
	head(f, "hailo_backend_info", "gauge",
	     "What answers: the way to the chip, whether the chip is software, what computes.");
	fprintf(f, "hailo_backend_info{backend=\"%s\",software_chip=\"%s\",", now->backend,
		now->software_chip ? "true" : "false");
	label(f, "function", now->function);
	fputs("} 1\n", f);
	head(f, "hailo_build_info", "gauge", "Service, model file and configuration.");
	fputs("hailo_build_info{", f);
	label(f, "version", now->service_version);
	fputc(',', f);
	label(f, "hef_sha", now->hef_sha);
	fputc(',', f);
	label(f, "config", now->config);
	fputs("} 1\n", f);
	head(f, "hailo_config_ok", "gauge",
	     "1 when the model has as many motifs as NUM_MOTIFS promises.");
	fprintf(f, "hailo_config_ok{expected=\"%u\",actual=\"%u\"} %d\n", now->motifs_expected,
		now->motifs_actual, now->motifs_expected == now->motifs_actual);
}

static void print_device(const struct metrics_now *now, FILE *f)
{
	if (now->has_temperature) {
		head(f, "hailo_device_temperature_celsius", "gauge",
		     "The warmer of the two sensors.");
		fputs("hailo_device_temperature_celsius{", f);
		label(f, "device_id", now->device_id);
		fprintf(f, "} %.9g\n", now->temperature);
	}
	if (now->has_device) {
		head(f, "hailo_device_utilization_percent", "gauge",
		     "Share of the last 10 s in which a frame was on the chip.");
		fputs("hailo_device_utilization_percent{", f);
		label(f, "device_id", now->device_id);
		fprintf(f, "} %.9g\n", now->utilization);
	}
	head(f, "hailo_device_recoveries_total", "counter",
	     "Times the network had to be brought back.");
	fprintf(f, "hailo_device_recoveries_total %" PRIu64 "\n", now->recoveries);
	head(f, "hailo_queue_depth", "gauge", "Requests that wait for a frame slot.");
	fprintf(f, "hailo_queue_depth %u\n", now->queued);
	head(f, "hailo_frames_in_flight", "gauge", "Frames on the chip.");
	fprintf(f, "hailo_frames_in_flight %u\n", now->in_flight);
	head(f, "hailo_sidecar_start_time_seconds", "gauge", "Unix time of the start.");
	fprintf(f, "hailo_sidecar_start_time_seconds %.3f\n", now->start_time);
}

void metrics_print(struct metrics *m, const struct metrics_now *now, FILE *out)
{
	pthread_mutex_lock(&m->lock);
	print_inference(m, now, out);
	print_http(m, out);
	pthread_mutex_unlock(&m->lock);
	print_model(now, out);
	print_device(now, out);
}
