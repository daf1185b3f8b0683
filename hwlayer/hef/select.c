// SPDX-License-Identifier: MIT
/* Which part of a file runs on which device (hef-format 3.4, 3.5), and sizes of transfers. */
#include <inttypes.h>
#include <stdio.h>

#include "hef/hef.h"

/* 4.4, last item: the group's name, or that of one of its networks */
static bool answers_to(const struct hef_group *g, const char *name)
{
	size_t len = strlen(g->name);

	if (!strcmp(g->name, name))
		return true;
	for (size_t i = 0; i < g->n_networks; i++) {
		if (!strcmp(g->networks[i], name))
			return true;
	}
	/* The default network "group/group" */
	return !strncmp(name, g->name, len) && name[len] == '/' && !strcmp(name + len + 1, g->name);
}

const struct hef_group *hef_find_group(const struct hef *hef, const char *name)
{
	for (size_t i = 0; i < hef->n_groups; i++) {
		if (!name || !name[0] || answers_to(&hef->groups[i], name))
			return &hef->groups[i];
	}
	return NULL;
}

static const char *device_name(enum hw_arch arch)
{
	switch (arch) {
	case HW_ARCH_HAILO8_A0:
		return "Hailo-8 A0";
	case HW_ARCH_HAILO8:
		return "Hailo-8";
	case HW_ARCH_HAILO8L:
		return "Hailo-8L";
	default:
		return "unknown chip";
	}
}

/* 2.3 */
static const char *file_arch_name(uint32_t arch)
{
	static const char *const names[] = {"HAILO8",	"HAILO8P",  "HAILO8R", "HAILO8L",
					    "HAILO15M", "HAILO10H", "HAILO15L"};
	static const char *const later[] = {"SAGE_A0", "SAGE_B0",  "PAPRIKA_B0", "HAILO15H",
					    "GINGER",  "LAVENDER", "PLUTO"};

	if (arch < ARRAY_SIZE(names))
		return names[arch];
	if (arch >= 100 && arch - 100 < ARRAY_SIZE(later))
		return later[arch - 100];
	return "unknown";
}

static bool compatible(uint32_t file, enum hw_arch device)
{
	switch (device) {
	case HW_ARCH_HAILO8:
		return file == HEF_ARCH_HAILO8P || file == HEF_ARCH_HAILO8R ||
		       file == HEF_ARCH_HAILO8L;
	case HW_ARCH_HAILO8L:
		return file == HEF_ARCH_HAILO8L;
	default:
		return false;
	}
}

static int refuse_layout(const struct hef_group *g, uint32_t clusters, struct hw_error *err)
{
	char have[128];
	size_t n = 0;

	have[0] = 0;
	for (size_t i = 0; i < g->n_core_ops && n < sizeof(have); i++) {
		int w = snprintf(have + n, sizeof(have) - n, "%s0x%" PRIx32, i ? ", " : "",
				 g->core_ops[i].layout);

		n += w < 0 ? sizeof(have) : (size_t)w;
	}
	return hw_fail(err, -ENOTSUP,
		       "network group \"%.60s\" has no variant for this Hailo-8L, whose usable "
		       "clusters are 0x%" PRIx32 "; the file has %s",
		       g->name, clusters, have);
}

int hef_select(const struct hef *hef, const struct hef_group *group, enum hw_arch arch,
	       uint32_t clusters, bool software_chip, const struct hef_core_op **out,
	       enum hef_status *status, struct hw_error *err)
{
	enum hef_status dummy;

	if (!status)
		status = &dummy;
	*status = HEF_NOT_COMPATIBLE_WITH_DEVICE;
	if (hef->software_chip && !software_chip)
		return hw_fail(
		    err, -ENOTSUP,
		    "the file was built for the software chip (mandatory extension 1000) "
		    "and this device is a real %s; compile the model for it with the "
		    "vendor's compiler",
		    device_name(arch));
	if (!compatible(hef->arch, arch))
		return hw_fail(err, -ENOTSUP,
			       "the file was compiled for %s (%" PRIu32
			       "), which a %s does not run",
			       file_arch_name(hef->arch), hef->arch, device_name(arch));
	*status = HEF_INVALID_HEF;
	for (size_t i = 0; i < group->n_core_ops; i++) {
		/* A Hailo-8 takes any variant, and that is the one with the lowest bitmap. */
		if (arch == HW_ARCH_HAILO8L && group->core_ops[i].layout != clusters)
			continue;
		*status = HEF_OK;
		*out = &group->core_ops[i];
		return 0;
	}
	return refuse_layout(group, clusters, err);
}

/* protocol 5.2: bursts large enough for all boxes of a class and its delimiter */
static bool whole_frame_bursts(const struct hef_nms *n)
{
	return n->burst && n->burst_size > n->max_boxes;
}

bool hef_nms_in_pieces(const struct hef_layer *l)
{
	return l->has_nms && !whole_frame_bursts(&l->nms);
}

static uint64_t nms_chunks(const struct hef_nms *n)
{
	return n->division_factor ? n->division_factor : 1;
}

static uint32_t clamp(uint64_t v)
{
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

uint32_t hef_transfer_bytes(const struct hef_layer *l)
{
	uint64_t bytes;

	if (!l->has_nms)
		return clamp(align_up(
		    (uint64_t)l->hw_height * l->hw_width * l->hw_features * l->data_bytes, 8));
	bytes = (uint64_t)l->nms.burst_size * l->nms.bbox_size;
	if (whole_frame_bursts(&l->nms)) {
		/* Each factor and each product but the last was bounded while parsing. */
		uint64_t bursts = (uint64_t)l->nms.classes * nms_chunks(&l->nms);

		return bytes && bursts > UINT32_MAX / bytes ? UINT32_MAX
							    : (uint32_t)(bytes * bursts);
	}
	return clamp(bytes);
}

uint32_t hef_transfers_per_frame(const struct hef_layer *l)
{
	uint64_t boxes;

	if (!l->has_nms)
		return 1;
	/* For sizing queues: the same formula also where one transfer holds the whole frame. */
	boxes = l->nms.burst && l->nms.burst_size
		    ? ceil_div((uint64_t)l->nms.max_boxes + 1, l->nms.burst_size)
		    : l->nms.max_boxes;
	return clamp(boxes * l->nms.classes * nms_chunks(&l->nms));
}
