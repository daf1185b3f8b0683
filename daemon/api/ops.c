// SPDX-License-Identifier: MIT
/* For operators: what runs here, does it work, how much does it do. */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "api.h"

#define SERVICE_NAME "hailo-inferenced"
#define SHORT_SHA 16

static void reply_json(struct http_req *rq, cJSON *o)
{
	char *text = cJSON_PrintUnformatted(o);

	cJSON_Delete(o);
	if (text)
		http_reply(rq, 200, "application/json", text, strlen(text));
}

/* Where the paths are; only what this service answers is listed. */
void api_root(struct http_req *rq)
{
	struct app *app = http_app(rq);
	cJSON *o = cJSON_CreateObject(), *part;
	struct engine_status st;

	engine_get_status(app->engine, &st);
	cJSON_AddStringToObject(o, "service", SERVICE_NAME);
	cJSON_AddStringToObject(o, "version", hw_version());
	cJSON_AddBoolToObject(o, "model_ready", st.state == ENGINE_READY);
	part = cJSON_AddObjectToObject(o, "endpoints");
	cJSON_AddStringToObject(part, "health", "/healthz");
	cJSON_AddStringToObject(part, "inference", "/infer");
	cJSON_AddStringToObject(part, "metrics", "/metrics");
	part = cJSON_AddObjectToObject(o, "config");
	cJSON_AddStringToObject(part, "hef_path", app->cfg->hef_path);
	cJSON_AddNumberToObject(part, "num_motifs", app->cfg->num_motifs);
	cJSON_AddStringToObject(part, "log_level", config_log_level(app->cfg));
	reply_json(rq, o);
}

void api_healthz(struct http_req *rq)
{
	struct app *app = http_app(rq);
	const struct model *m = app->model;
	struct engine_status st;
	char sha[SHORT_SHA + 1];
	cJSON *o;

	engine_get_status(app->engine, &st);
	metrics_health(app->metrics, st.state == ENGINE_READY);
	if (st.state != ENGINE_READY) {
		http_reply_detail(rq, 503, "%s", st.detail);
		return;
	}
	memcpy(sha, m->sha256, SHORT_SHA);
	sha[SHORT_SHA] = 0;
	o = cJSON_CreateObject();
	cJSON_AddBoolToObject(o, "ok", 1);
	cJSON_AddStringToObject(o, "model", m->manifest->name);
	cJSON_AddNumberToObject(o, "uptime_s",
				(double)((engine_now_ns() - app->start_ns) / 1000000000u));
	cJSON_AddStringToObject(o, "config_version", app->cfg->version);
	cJSON_AddStringToObject(o, "hef_sha256", sha);
	cJSON_AddStringToObject(o, "version", hw_version());
	cJSON_AddStringToObject(o, "device", st.info.arch_name);
	cJSON_AddNumberToObject(o, "latency_ms", metrics_last_inference(app->metrics) * 1e3);
	cJSON_AddStringToObject(o, "backend", st.info.backend);
	/* Serving, but not everything that the contract promises. */
	cJSON_AddBoolToObject(o, "degraded", m->source == MOTIFS_NONE || st.not_inference);
	cJSON_AddStringToObject(o, "function", st.function);
	cJSON_AddBoolToObject(o, "software_chip", st.info.software_chip);
	cJSON_AddStringToObject(o, "model_version", m->version);
	cJSON_AddStringToObject(o, "motif_source", model_source_name(m));
	cJSON_AddStringToObject(o, "training_data", m->manifest->training_data);
	reply_json(rq, o);
}

void api_metrics(struct http_req *rq)
{
	struct app *app = http_app(rq);
	const struct model *m = app->model;
	struct engine_status st;
	struct metrics_now now = {0};
	char sha[SHORT_SHA + 1], *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return; /* answered with 500 */
	engine_get_status(app->engine, &st);
	memcpy(sha, m->sha256, SHORT_SHA);
	sha[SHORT_SHA] = 0;
	now.model = m->manifest->name;
	now.version = m->version;
	now.hef_path = m->hef_path;
	now.hef_sha = sha;
	now.config = app->cfg->version;
	now.service_version = hw_version();
	now.device = st.opened ? st.info.arch_name : "none";
	now.device_id = st.opened ? st.info.bdf : "none";
	now.backend = st.opened ? st.info.backend : "none";
	now.function = st.function;
	now.loaded = st.state == ENGINE_READY;
	now.software_chip = st.opened && st.info.software_chip;
	now.has_device = st.opened;
	now.has_temperature = st.has_temperature;
	now.temperature = (double)st.temperature;
	now.utilization = (double)st.utilization;
	now.motifs_expected = app->cfg->num_motifs;
	now.motifs_actual = m->source == MOTIFS_NONE ? 0 : m->motifs;
	now.start_time = app->start_time;
	now.queued = st.queued;
	now.in_flight = st.in_flight;
	now.recoveries = st.recoveries;
	metrics_print(app->metrics, &now, f);
	if (fclose(f)) {
		free(text);
		return;
	}
	http_reply(rq, 200, "text/plain; version=0.0.4; charset=utf-8", text, len);
}
