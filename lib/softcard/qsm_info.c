/* SPDX-License-Identifier: MIT */
/* What the card says about itself. It does not pretend: versions name it as software, and clocks it
 * does not have are 0. */
#include "softcard/core.h"

#include <string.h>

#define HARDWARE_VERSION 0x60110200u /* AIC100 2.0 */
#define NO_BUILD	 255u
#define FIRMWARE_MAJOR	 0u
#define FIRMWARE_MINOR	 1u
#define FIRMWARE_PATCH	 0u

static void fill_text(char *field, size_t field_bytes, const char *text)
{
	memcpy(field, text, strnlen(text, field_bytes - 1));
}

static unsigned int open_channels(const struct qeff_card *card)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < QEFF_CARD_DBCS; i++)
		count += card->channel[i].open;
	return count;
}

static void fill_resources(const struct qeff_card *card, struct qeff_nnc_resources *r)
{
	unsigned int channels = open_channels(card);

	r->ddr_total_mb = (uint32_t)(card->ddr.total_bytes >> 20);
	r->ddr_free_mb = (uint32_t)((card->ddr.total_bytes - card->ddr.used_bytes) >> 20);
	r->fragmentation_percent = qeff_ddr_fragmentation_percent(&card->ddr);
	r->vc_total = QEFF_CARD_DBCS;
	r->vc_free = (uint8_t)(QEFF_CARD_DBCS - channels);
	r->nsp_total = (uint8_t)card->config.nsps;
	r->nsp_free = (uint8_t)(card->config.nsps - (uint32_t)__builtin_popcount(card->nsps_used));
	r->mcid_total = QEFF_CARD_MCIDS;
	r->mcid_free = QEFF_CARD_MCIDS - card->mcids_used;
	r->semaphores_total = QEFF_CARD_DBCS * QEFF_SEMAPHORES;
	r->semaphores_free = (QEFF_CARD_DBCS - channels) * QEFF_SEMAPHORES;
}

static void fill_networks(const struct qeff_card *card, struct qeff_nnc_device_data *d)
{
	for (const struct qeff_constants *c = card->constants; c; c = c->next) {
		d->constants_loaded++;
		d->constants_in_use += c->users > 0;
	}
	for (const struct qeff_elf *e = card->elfs; e; e = e->next)
		d->networks_loaded++;
	d->networks_active = (uint8_t)open_channels(card);
}

void qeff_qsm_status(struct qeff_qsm_message *m, const uint8_t *command, size_t size_bytes)
{
	struct qeff_nnc_status_resp response = {
		.type = QEFF_NNC_STATUS_RESP,
		.format_version = QEFF_NNC_STATUS_FORMAT,
	};
	struct qeff_nnc_device_data *d = &response.device;
	struct qeff_nnc_nsp_data *n = &response.nsp;

	d->firmware_major = n->major = FIRMWARE_MAJOR;
	d->firmware_minor = n->minor = FIRMWARE_MINOR;
	d->firmware_patch = n->patch = FIRMWARE_PATCH;
	d->firmware_build = n->build = NO_BUILD;
	fill_text(d->qc_version, sizeof(d->qc_version), "software card, qeff " QEFF_VERSION);
	fill_text(d->oem_version, sizeof(d->oem_version), "none (software card)");
	fill_text(d->variant, sizeof(d->variant), "software card");
	d->hardware_version = HARDWARE_VERSION;
	fill_text(d->chip_serial, sizeof(d->chip_serial), m->card->config.serial);
	fill_text(d->board_serial, sizeof(d->board_serial), m->card->config.serial);
	fill_resources(m->card, &d->resources);
	fill_networks(m->card, d);
	d->metadata_major = QEFF_METADATA_VERSION_MAJOR;
	d->metadata_minor = QEFF_METADATA_VERSION_MINOR;
	d->protocol_major = QEFF_NNC_PROTOCOL_MAJOR;
	d->protocol_minor = QEFF_NNC_PROTOCOL_MINOR;
	fill_text(d->sbl_name, sizeof(d->sbl_name), "none (software card)");
	d->sku = m->card->config.sku;
	fill_text(n->qc_version, sizeof(n->qc_version), "software NSP, qeff " QEFF_VERSION);
	fill_text(n->oem_version, sizeof(n->oem_version), "none (software card)");
	fill_text(n->variant, sizeof(n->variant), "software card");
	qeff_qsm_respond(m, &response, sizeof(response));
}

void qeff_qsm_resource_info(struct qeff_qsm_message *m, const uint8_t *command, size_t size_bytes)
{
	struct qeff_nnc_resource_info_resp response = {
		.type = QEFF_NNC_RESOURCE_INFO_RESP,
		.resource_group = -1,
	};
	struct qeff_nnc_resource_info_req request;

	if (size_bytes < sizeof(request)) {
		response.status = QEFF_NNC_ERR_COMMAND_LENGTH;
	} else {
		memcpy(&request, command, sizeof(request));
		/* There are no groups, only the whole card. */
		if (request.resource_group == -1)
			fill_resources(m->card, &response.resources);
		else
			response.status = QEFF_NNC_ERR_NOT_FOUND;
	}
	qeff_qsm_respond(m, &response, sizeof(response));
}

void qeff_qsm_performance_info(struct qeff_qsm_message *m, const uint8_t *command,
			       size_t size_bytes)
{
	const struct qeff_nnc_performance_info_resp response = {
		.type = QEFF_NNC_PERFORMANCE_INFO_RESP,
	};

	qeff_qsm_respond(m, &response, sizeof(response));
}
