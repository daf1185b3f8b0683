// SPDX-License-Identifier: MIT
/*
 * What a faulty chip does of its own accord (fault.h): it stops, restarts, vanishes, overheats,
 * talks too much.  MODEL throughout: no card was ever seen to do any of it, except to report
 * memory errors right after boot (evidence 9, pitfall 12).
 */
#include "mock/sim.h"

#define MS 1000000ull
#define DOUBLE_MS 2

#define MODULE_GENERAL 0x00u
#define MODULE_HEALTH_MONITOR 0x16u
#define MODULE_POWER_STATE 0x1fu
#define MODULE_TEMPERATURE_PROTECTION 0x24u

enum heat { COOL, ORANGE, RED, CLOSED };

/* MODEL: degrees at both sensors in each step; where the zones begin on a card is not known. */
static const float degrees[][2] = {[COOL] = {61.5f, 61.0f},
				   [ORANGE] = {98.5f, 97.5f},
				   [RED] = {106.0f, 105.0f},
				   [CLOSED] = {112.5f, 111.0f}};

static void put_f32(uint8_t *p, float v)
{
	uint32_t bits;

	memcpy(&bits, &v, sizeof(bits));
	put_le32(p, bits);
}

bool sim_fault_temperature(const struct mock_chip *chip, uint8_t out[8])
{
	const float *t = degrees[chip->faults.heat];

	if (!chip->faults.heat)
		return false;
	put_f32(out, t[0]);
	put_f32(out + 4, t[1]);
	return true;
}

/* ----------------------------------------------------------------------------- heat */

static void send_alarm(struct mock_chip *chip, uint32_t zone, const float t[2])
{
	uint8_t p[16];

	put_le32(p, zone);
	put_le32(p + 4, 0); /* sensor */
	put_f32(p + 8, t[0]);
	put_f32(p + 12, t[1]);
	sim_event_post(chip, FW_EVENT_TEMPERATURE_ALARM, MODULE_TEMPERATURE_PROTECTION, zone > 0, 4,
		       p, sizeof(p));
}

/* The firmware closes the streams itself: frames stay where they are until a reset. */
static void close_streams(struct mock_chip *chip)
{
	struct sim_run *run = sim_active(chip);
	uint8_t p[8];

	put_f32(p, degrees[CLOSED][0]);
	put_f32(p + 4, degrees[CLOSED][1]);
	chip->faults.too_hot = true;
	if (run)
		run->failed = true;
	sim_fault(chip, "all streams closed because of overheating");
	sim_event_post(chip, FW_EVENT_STREAMS_CLOSED, MODULE_HEALTH_MONITOR, true, 2, p, sizeof(p));
}

static void heat_up(struct mock_chip *chip, uint64_t now)
{
	struct sim_faults *f = &chip->faults;

	switch (f->heat++) {
	case COOL:
	case ORANGE:
		send_alarm(chip, f->heat, degrees[f->heat]); /* the steps are the zones' numbers */
		f->heat_ns = now + f->heat_step_ms * MS;
		break;
	case RED:
		close_streams(chip);
		f->heat_ns = now + f->heat_cool_ms * MS;
		break;
	default:
		f->heat = COOL;
		f->heat_ns = 0;
		f->too_hot = false;
		send_alarm(chip, 0, degrees[COOL]);
	}
}

/* ---------------------------------------------------------------------------- strikes */

static void crash(struct mock_chip *chip, uint64_t reboot_ns)
{
	chip->faults.crashed = true;
	chip->faults.reboot_ns = reboot_ns;
	sim_fault(chip, "the firmware crashed");
	pthread_cond_signal(&chip->fw_cond);
}

static void ecc(struct mock_chip *chip, enum fw_event event, uint32_t memories)
{
	uint8_t p[4];

	put_le32(p, memories);
	sim_event_post(chip, event, MODULE_GENERAL, true, 1, p, sizeof(p));
}

static bool strikes(struct mock_chip *chip, enum sim_fault_id id, struct sim_order **order)
{
	*order = sim_fault_due(chip, id);
	if (*order)
		sim_fault_strike(chip, *order);
	return *order;
}

static void poll_firmware(struct mock_chip *chip)
{
	struct sim_faults *f = &chip->faults;
	struct sim_order *o;

	if (strikes(chip, SIM_FAULT_ECC, &o))
		ecc(chip, FW_EVENT_CPU_ECC_ERROR, o->arg[0]);
	if (strikes(chip, SIM_FAULT_ECC_FATAL, &o))
		ecc(chip, FW_EVENT_CPU_ECC_FATAL, o->arg[0]);
	if (strikes(chip, SIM_FAULT_EVENT_STORM, &o)) {
		f->storm = o->arg[0];
		sim_event_storm(chip);
	}
	if (!f->heat && strikes(chip, SIM_FAULT_OVERHEAT, &o)) {
		f->heat_step_ms = o->arg[0];
		f->heat_cool_ms = o->arg[1];
		heat_up(chip, util_now_ns());
		pthread_cond_signal(&chip->fw_cond);
	}
	if (strikes(chip, SIM_FAULT_FW_REBOOT, &o))
		crash(chip, util_now_ns() + o->arg[0] * MS);
	if (strikes(chip, SIM_FAULT_FW_CRASH, &o))
		crash(chip, 0);
}

bool sim_fault_dead(const struct mock_chip *chip)
{
	return chip->faults.crashed || chip->faults.removed;
}

void sim_fault_poll(struct mock_chip *chip)
{
	struct sim_order *o;

	if (!chip->faults.n)
		return;
	if (strikes(chip, SIM_FAULT_REMOVED, &o)) {
		chip->faults.removed = true;
		sim_fault(chip, "the card was removed");
	}
	if (chip->state == SIM_RUNNING && !chip->faults.crashed)
		poll_firmware(chip);
	if (chip->msi_owed) /* also when this is a host's thread, which sends none */
		pthread_cond_signal(&chip->fw_cond);
}

/* ------------------------------------------------------------------------------ timers */

static void sooner(uint64_t *wake, uint64_t when)
{
	if (when && (!*wake || when < *wake))
		*wake = when;
}

uint64_t sim_fault_step(struct mock_chip *chip, uint64_t now)
{
	struct sim_faults *f = &chip->faults;
	uint64_t wake = 0;

	sim_fault_poll(chip);
	for (unsigned int i = 0; i < f->n; i++) {
		const struct sim_order *o = &f->order[i];

		if (!o->over && o->moment == SIM_AT_MS && o->at > now)
			sooner(&wake, o->at);
	}
	if (f->late_ns && now >= f->late_ns) {
		chip->msi_owed += f->late;
		f->late = 0;
		f->late_ns = 0;
	}
	if (f->heat_ns && now >= f->heat_ns && !f->crashed)
		heat_up(chip, now);
	if (f->reboot_ns && now >= f->reboot_ns) {
		f->reboot_ns = 0;
		sim_watchdog_reboot(chip);
	}
	sooner(&wake, f->late_ns);
	sooner(&wake, f->crashed ? 0 : f->heat_ns);
	sooner(&wake, f->reboot_ns);
	return wake;
}

static void send_later(struct mock_chip *chip, uint32_t ms)
{
	struct sim_faults *f = &chip->faults;

	f->late++;
	if (!f->late_ns)
		f->late_ns = util_now_ns() + ms * MS;
	pthread_cond_signal(&chip->fw_cond);
}

unsigned int sim_fault_msi(struct mock_chip *chip)
{
	struct sim_order *o;

	if (!chip->faults.n)
		return 1;
	o = sim_fault_due(chip, SIM_FAULT_IRQ_LOST);
	if (o && ++o->seen % o->arg[0] == 0) {
		sim_fault_strike(chip, o);
		return 0;
	}
	o = sim_fault_due(chip, SIM_FAULT_IRQ_DOUBLED);
	if (o) { /* so much later that the host has dealt with the first one */
		sim_fault_strike(chip, o);
		send_later(chip, DOUBLE_MS);
	}
	o = sim_fault_due(chip, SIM_FAULT_IRQ_LATE);
	if (!o)
		return 1;
	sim_fault_strike(chip, o);
	send_later(chip, o->arg[0]);
	return 0;
}

void sim_fault_reset(struct mock_chip *chip)
{
	struct sim_faults *f = &chip->faults;

	f->crashed = false;
	f->reboot_ns = 0;
	f->late = 0;
	f->late_ns = 0;
	f->storm = 0;
	f->heat = COOL;
	f->heat_ns = 0;
	f->too_hot = false;
}
