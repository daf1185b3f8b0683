// SPDX-License-Identifier: MIT
/* The object: power on, power off, function reset, its firmware thread, what tests ask. */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "mock/sim.h"
#include "mock/standin.h"

#define LOOK_NS 50000000u

void sim_fault(struct mock_chip *chip, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(chip->fault, sizeof(chip->fault), fmt, ap);
	va_end(ap);
	hw_log(HW_LOG_DEBUG, "software chip: %s", chip->fault);
}

/*
 * Never for longer than LOOK_NS: glibc before 2.41 can lose a signal (its bug 25847), and a chip
 * that then slept until the next one would be dead.  Every caller looks at its condition again.
 */
void sim_wait(struct mock_chip *chip, pthread_cond_t *cond, uint64_t when_ns)
{
	uint64_t look = util_now_ns() + LOOK_NS;
	struct timespec ts;

	if (!when_ns || when_ns > look)
		when_ns = look;
	ts = (struct timespec){(time_t)(when_ns / 1000000000u), (long)(when_ns % 1000000000u)};
	pthread_cond_timedwait(cond, &chip->lock, &ts);
}

void sim_engine_kick(struct mock_chip *chip)
{
	chip->eng_kicks++;
	pthread_cond_signal(&chip->eng_cond);
}

static void *firmware_main(void *arg)
{
	struct mock_chip *chip = arg;

	pthread_mutex_lock(&chip->lock);
	while (!chip->quit) {
		uint64_t now = util_now_ns(), wake = sim_life_step(chip, now);
		uint64_t fault = sim_fault_step(chip, now);

		if (fault && (!wake || fault < wake))
			wake = fault;
		if (chip->doorbell) {
			uint32_t bell = chip->doorbell;

			chip->doorbell = 0;
			sim_doorbell(chip, bell);
		} else if (!chip->msi_owed) {
			sim_wait(chip, &chip->fw_cond, wake);
		}
		sim_irq_flush(chip);
	}
	pthread_mutex_unlock(&chip->lock);
	return NULL;
}

static int make_conds(struct mock_chip *chip)
{
	pthread_condattr_t attr;
	int r;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	r = pthread_cond_init(&chip->fw_cond, &attr);
	r = r ? r : pthread_cond_init(&chip->eng_cond, &attr);
	r = r ? r : pthread_cond_init(&chip->idle_cond, &attr);
	r = r ? r : pthread_mutex_init(&chip->lock, NULL);
	pthread_condattr_destroy(&attr);
	return -r;
}

struct mock_chip *mock_chip_new(const struct mock_opts *opts, const struct mock_host *host)
{
	struct mock_chip *chip = calloc(1, sizeof(*chip));
	char why[160];

	if (!chip)
		return NULL;
	if (opts)
		chip->opts = *opts;
	if (!chip->opts.arch)
		chip->opts.arch = MOCK_HAILO8;
	chip->host = *host;
	chip->ram = calloc(1, SIM_RAM_SIZE);
	chip->sram = calloc(1, SIM_SRAM_SIZE);
	if (!chip->ram || !chip->sram || make_conds(chip))
		goto err_mem;
	if (chip->opts.faults && sim_fault_order(chip, chip->opts.faults, why, sizeof(why)) < 0)
		hw_log(HW_LOG_ERROR, "software chip: %s", why);
	chip->opts.faults = NULL;
	sim_config_reset(chip);
	sim_power_on(chip, chip->opts.already_running);
	if (pthread_create(&chip->fw_thread, NULL, firmware_main, chip))
		goto err_mem;
	if (pthread_create(&chip->eng_thread, NULL, sim_engine_main, chip))
		goto err_thread;
	return chip;
err_thread:
	pthread_mutex_lock(&chip->lock);
	chip->quit = true;
	pthread_cond_signal(&chip->fw_cond);
	pthread_mutex_unlock(&chip->lock);
	pthread_join(chip->fw_thread, NULL);
err_mem:
	free(chip->ram);
	free(chip->sram);
	free(chip);
	return NULL;
}

void mock_chip_free(struct mock_chip *chip)
{
	if (!chip)
		return;
	pthread_mutex_lock(&chip->lock);
	chip->quit = true;
	if (chip->run)
		chip->run->stop = true;
	pthread_cond_broadcast(&chip->fw_cond);
	pthread_cond_broadcast(&chip->eng_cond);
	pthread_cond_broadcast(&chip->idle_cond);
	pthread_mutex_unlock(&chip->lock);
	pthread_join(chip->fw_thread, NULL);
	pthread_join(chip->eng_thread, NULL);
	sim_run_free(chip->run);
	sim_run_free(chip->next_run);
	sim_apps_free(chip);
	standin_put(chip->standin);
	pthread_cond_destroy(&chip->fw_cond);
	pthread_cond_destroy(&chip->eng_cond);
	pthread_cond_destroy(&chip->idle_cond);
	pthread_mutex_destroy(&chip->lock);
	free(chip->ram);
	free(chip->sram);
	free(chip);
}

void mock_chip_reset(struct mock_chip *chip)
{
	pthread_mutex_lock(&chip->lock);
	if (!chip->faults.removed) {
		sim_quiesce(chip);
		sim_config_reset(chip);
		sim_power_on(chip, false);
	}
	pthread_mutex_unlock(&chip->lock);
}

void mock_chip_stats(struct mock_chip *chip, struct mock_stats *out)
{
	pthread_mutex_lock(&chip->lock);
	*out = chip->stats;
	pthread_mutex_unlock(&chip->lock);
}

bool mock_chip_context_stats(struct mock_chip *chip, unsigned int app, unsigned int context,
			     struct mock_context_stats *out)
{
	bool found = false;

	pthread_mutex_lock(&chip->lock);
	if (app < chip->napps && chip->apps[app]->complete &&
	    context < chip->apps[app]->dynamic_contexts) {
		const struct sim_app *a = chip->apps[app];

		*out = a->ctx[a->nctx - a->dynamic_contexts + context].stats;
		found = true;
	}
	pthread_mutex_unlock(&chip->lock);
	return found;
}

void mock_chip_last_fault(struct mock_chip *chip, char *buf, size_t size)
{
	pthread_mutex_lock(&chip->lock);
	snprintf(buf, size, "%s", chip->fault);
	pthread_mutex_unlock(&chip->lock);
}
