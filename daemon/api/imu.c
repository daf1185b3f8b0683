// SPDX-License-Identifier: MIT
/* The IMU contract: a window of 100 x 9 raw sensor values to 64 latents and the motif scores. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "../log.h"
#include "api.h"

/* How the engine's reasons look to a client. */
static const struct {
	int status;
	unsigned int http;
	enum error_type type;
} reasons[] = {
    {-EBUSY, 503, ERROR_QUEUE_FULL},  {-ENODEV, 503, ERROR_UNAVAILABLE}, {-EIO, 503, ERROR_DEVICE},
    {-ETIMEDOUT, 504, ERROR_TIMEOUT}, {0, 500, ERROR_INTERNAL},
};

static void fail(struct app *app, enum outcome outcome, enum error_type type)
{
	metrics_inference(app->metrics, outcome, 0.0);
	metrics_error(app->metrics, type);
}

static void reply_failure(struct http_req *rq, const struct job *job)
{
	size_t i = 0;

	while (reasons[i].status && reasons[i].status != job->status)
		i++;
	fail(http_app(rq), OUTCOME_ERROR, reasons[i].type);
	http_reply_detail(rq, reasons[i].http, "%s", job->detail);
}

static bool all_finite(const float *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isfinite(v[i]))
			return false;
	return true;
}

static void reply_result(struct http_req *rq, struct job *job)
{
	struct app *app = http_app(rq);
	const struct model *m = app->model;
	float *scores = malloc(m->motifs * sizeof(*scores));
	char *text;
	size_t len;
	int r;

	if (!all_finite(job->latent, IMU_LATENT) ||
	    (job->head && !all_finite(job->head, m->motifs))) {
		log_error("the model answered with a value that is not finite");
		fail(app, OUTCOME_ERROR, ERROR_INTERNAL);
		http_reply_detail(rq, 500, "The model answered with a value that is not finite");
		goto out;
	}
	if (!scores)
		goto no_memory;
	/* Prototypes compare with the latent as the model gave it; the clip is for the client. */
	model_scores(m, job->latent, job->head, scores);
	for (size_t i = 0; i < IMU_LATENT; i++)
		job->latent[i] = fminf(fmaxf(job->latent[i], -IMU_LATENT_CLIP), IMU_LATENT_CLIP);
	r = codec_imu_answer(job->latent, scores, m->motifs, model_source_name(m), m->name_json,
			     &text, &len);
	if (r)
		goto no_memory;
	metrics_inference(app->metrics, OUTCOME_SUCCESS,
			  (double)(engine_now_ns() - job->start_ns) / 1e9);
	http_reply(rq, 200, "application/json", text, len);
	goto out;

no_memory:
	fail(app, OUTCOME_ERROR, ERROR_INTERNAL);
out:
	free(scores);
}

static void finish(struct http_req *rq, void *arg)
{
	struct job *job = arg;

	if (job->status)
		reply_failure(rq, job);
	else
		reply_result(rq, job);
	job_put(job);
}

void api_infer(struct http_req *rq)
{
	struct app *app = http_app(rq);
	uint64_t start = engine_now_ns();
	float window[IMU_VALUES];
	struct job *job;
	const char *body;
	size_t len, reply_len;
	char *reply;
	int r;

	body = http_body(rq, &len);
	r = codec_imu_parse(body, len, window, &reply, &reply_len);
	if (r == -EINVAL) {
		fail(app, OUTCOME_INVALID, ERROR_VALIDATION);
		http_reply(rq, 422, "application/json", reply, reply_len);
		return;
	}
	job = r ? NULL : job_new(app->engine);
	if (!job) {
		fail(app, OUTCOME_ERROR, ERROR_INTERNAL);
		return; /* answered with 500 */
	}
	hw_manifest_input(app->model->manifest, window, job->input);
	job->wake = http_wake;
	job->arg = rq;
	job->start_ns = start;
	http_defer(rq, finish, job);
	engine_submit(app->engine, job);
}
