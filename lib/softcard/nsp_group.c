/* SPDX-License-Identifier: MIT */
/* A group's life: doorbells, a run on the pool, semaphores; and what keeps a bad program from
 * starting. */
#include "softcard/nsp_group.h"

#include "nnc/command.h"
#include "nsp/host/host.h"
#include "softcard/core.h"
#include "util/bytes.h"
#include "util/log.h"

#include <stdlib.h>
#include <sys/mman.h>

/* The protocol's numbers; see the design page. */
#define SEMAPHORE_INPUT	 0u
#define SEMAPHORE_OUTPUT 1u
#define DOORBELL_INPUT	 0u
#define DOORBELL_OUTPUT	 4u

/**
 * struct qeff_nsp_group
 * @busy: an inference is queued or runs; guarded by the channel's lock
 * @input_failed: of this inference; set before it is submitted
 * @shadow: room for the poison check, NULL without it
 */
struct qeff_nsp_group {
	struct qeff_job job;
	struct qeff_card *card;
	struct qeff_channel *channel;
	uint32_t nsps;
	struct qeff_nsp_program program;
	struct qeff_nsp_instance *instance;
	uint8_t *l2tcm;
	uint8_t *shadow;
	uint64_t began_us;
	bool busy;
	bool input_failed;
};

static struct qeff_nsp_group *group_of(struct qeff_job *job)
{
	return (struct qeff_nsp_group *)((char *)job - offsetof(struct qeff_nsp_group, job));
}

static uint64_t time_us(const struct qeff_nsp_group *group)
{
	return group->card->host.time_us(group->card->host.user);
}

static uint32_t job_begin(struct qeff_job *job)
{
	struct qeff_nsp_group *group = group_of(job);
	uint32_t phases;

	group->began_us = time_us(group);
	phases = qeff_nsp_begin(group->instance);
	if (group->input_failed)
		qeff_nsp_set_fault(group->instance, QEFF_NSP_FAULT_INPUT, 0, 0, 0);
	return phases;
}

static void job_before(struct qeff_job *job, uint32_t phase)
{
	struct qeff_nsp_group *group = group_of(job);

	if (group->shadow)
		qeff_nsp_poison_before(group->instance, phase, group->shadow);
}

static void job_run(struct qeff_job *job, uint32_t phase, uint32_t item, void *scratch)
{
	/* Behind the scratch, see qsm_activate.c; what was staged for another inference does not
	 * fit any more. */
	struct qeff_nsp_worker *worker =
		(struct qeff_nsp_worker *)((uint8_t *)scratch + QEFF_NSP_MAX_SCRATCH_BYTES);

	worker->scratch = scratch;
	qeff_nsp_phase_on(group_of(job)->instance, phase, item, worker);
}

static void job_after(struct qeff_job *job, uint32_t phase)
{
	struct qeff_nsp_group *group = group_of(job);

	if (group->shadow)
		qeff_nsp_poison_after(group->instance, phase, group->shadow);
}

/* Each NSP says that inputs may come and that outputs are there. */
static void job_finish(struct qeff_job *job, bool cancelled)
{
	struct qeff_nsp_group *group = group_of(job);
	struct qeff_channel *ch = group->channel;

	qeff_nsp_end(group->instance, time_us(group) - group->began_us);
	if (cancelled)
		return;
	atomic_fetch_add_explicit(&group->card->inferences, 1, memory_order_relaxed);
	pthread_mutex_lock(&ch->lock);
	group->busy = false;
	for (uint32_t i = 0; i < group->nsps; i++) {
		if (ch->semaphore[SEMAPHORE_INPUT] < QEFF_SEMAPHORE_MAX)
			ch->semaphore[SEMAPHORE_INPUT]++;
		if (ch->semaphore[SEMAPHORE_OUTPUT])
			ch->semaphore[SEMAPHORE_OUTPUT]--;
	}
	qeff_nsp_group_poll(group);
	pthread_mutex_unlock(&ch->lock);
	qeff_channel_kick(ch);
}

static const struct qeff_job_ops job_ops = {
	.begin = job_begin,
	.before = job_before,
	.run = job_run,
	.after = job_after,
	.finish = job_finish,
};

static uint8_t *nsp_l2tcm(const struct qeff_nsp_group *group, uint32_t nsp)
{
	return group->l2tcm + (size_t)nsp * QEFF_MD_L2TCM_BYTES;
}

void qeff_nsp_group_poll(struct qeff_nsp_group *group)
{
	if (group->busy || group->channel->stopping)
		return;
	for (uint32_t i = 0; i < group->nsps; i++)
		if (qeff_get_u32(nsp_l2tcm(group, i) + DOORBELL_INPUT) != 1 ||
		    qeff_get_u32(nsp_l2tcm(group, i) + DOORBELL_OUTPUT) != 1)
			return;
	for (uint32_t i = 0; i < group->nsps; i++) {
		qeff_put_u32(nsp_l2tcm(group, i) + DOORBELL_INPUT, 0);
		qeff_put_u32(nsp_l2tcm(group, i) + DOORBELL_OUTPUT, 0);
	}
	group->busy = true;
	group->input_failed = group->channel->input_failed;
	group->channel->input_failed = false;
	qeff_pool_submit(group->card->pool, &group->job);
}

void qeff_nsp_group_start(struct qeff_nsp_group *group)
{
	struct qeff_channel *ch = group->channel;

	pthread_mutex_lock(&ch->lock);
	for (uint32_t i = 0; i < group->nsps; i++)
		if (ch->semaphore[SEMAPHORE_INPUT] < QEFF_SEMAPHORE_MAX)
			ch->semaphore[SEMAPHORE_INPUT]++;
	qeff_nsp_group_poll(group);
	pthread_mutex_unlock(&ch->lock);
}

void qeff_nsp_group_stop(struct qeff_nsp_group *group)
{
	qeff_pool_cancel(group->card->pool, &group->job);
}

uint8_t *qeff_nsp_group_l2tcm(struct qeff_nsp_group *group)
{
	return group->l2tcm;
}

/* The metadata's claims against the program's needs. */
static int32_t check_program(const struct qeff_nsp_group_setup *s, struct qeff_nsp_program *program)
{
	const struct qeff_metadata *md = s->metadata;
	const struct qeff_nsp_header *header;
	struct qeff_error err = { 0 };

	if (s->constants_bytes < sizeof(*header) || qeff_get_u32(s->constants) != QEFF_NSP_MAGIC) {
		qeff_log(
			QEFF_LOG_INFO,
			"software card: %s: the constants begin with no NSP program, and Hexagon code cannot run "
			"here",
			md->network_name);
		return QEFF_NNC_ERR_PROGRAM_IMAGE;
	}
	if (qeff_nsp_host_validate(s->constants, s->constants_bytes, md->network_name, program,
				   &err)) {
		qeff_log(QEFF_LOG_INFO, "software card: %s", err.message);
		return QEFF_NNC_ERR_PROGRAM_IMAGE;
	}
	header = program->header;
	if (header->nsps != md->num_nsps || header->ddr_bytes > s->ddr_bytes ||
	    md->num_semaphores <= SEMAPHORE_OUTPUT) {
		qeff_log(
			QEFF_LOG_INFO,
			"software card: %s: the program wants %u NSPs and %llu bytes of DDR, its metadata gives "
			"%u and %llu, and %u semaphores of 2",
			md->network_name, header->nsps, (unsigned long long)header->ddr_bytes,
			md->num_nsps, (unsigned long long)s->ddr_bytes, md->num_semaphores);
		return QEFF_NNC_ERR_METADATA;
	}
	return QEFF_NNC_OK;
}

static int32_t check_l2tcm(const struct qeff_metadata *md)
{
	if (md->l2tcm_init_bytes > QEFF_MD_L2TCM_BYTES)
		return QEFF_NNC_ERR_L2TCM_INIT;
	/* Windows into VTCM would need an NSP's scratch to be one place; no program of ours has
	 * them. */
	for (uint32_t n = 0; n < md->num_nsp_multicast; n++)
		for (uint32_t i = 0; i < md->nsp_multicast[n].num_entries; i++)
			if (md->nsp_multicast[n].entries[i].space != QEFF_MD_NSP_L2TCM)
				return QEFF_NNC_ERR_MCID_CONFIGURATION;
	return QEFF_NNC_OK;
}

static int32_t allocate(struct qeff_nsp_group *group, const struct qeff_nsp_group_setup *s,
			const struct qeff_nsp_kernels *kernels)
{
	const struct qeff_metadata *md = s->metadata;
	const struct qeff_nsp_header *header = group->program.header;
	uint64_t arena_bytes = header->ddr_bytes - header->arena_offset;
	size_t bytes = qeff_nsp_instance_bytes(&group->program);
	void *l2tcm;

	group->instance = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
	if (!group->instance)
		return QEFF_NNC_ERR_MEMORY;
	qeff_nsp_instance_init(group->instance, &group->program, kernels, s->ddr);
	if (group->card->config.poison) {
		group->shadow = malloc(arena_bytes ? arena_bytes : 1);
		if (!group->shadow)
			return QEFF_NNC_ERR_MEMORY;
	}
	l2tcm = mmap(NULL, (size_t)group->nsps * QEFF_MD_L2TCM_BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (l2tcm == MAP_FAILED)
		return QEFF_NNC_ERR_MEMORY;
	group->l2tcm = l2tcm;
	if (md->l2tcm_init_bytes)
		for (uint32_t i = 0; i < group->nsps; i++)
			memcpy(nsp_l2tcm(group, i), md->l2tcm_init, md->l2tcm_init_bytes);
	return QEFF_NNC_OK;
}

int32_t qeff_nsp_group_new(struct qeff_card *card, const struct qeff_nsp_group_setup *s,
			   struct qeff_nsp_group **result)
{
	const struct qeff_nsp_kernels *kernels;
	struct qeff_nsp_program program;
	struct qeff_nsp_group *group;
	struct qeff_error err = { 0 };
	int32_t status;

	status = check_program(s, &program);
	if (!status)
		status = check_l2tcm(s->metadata);
	if (status)
		return status;
	kernels = qeff_nsp_host_kernels(&err);
	if (!kernels) {
		qeff_log(QEFF_LOG_ERROR, "software card: %s", err.message);
		return QEFF_NNC_ERR_GENERAL;
	}
	group = calloc(1, sizeof(*group));
	if (!group)
		return QEFF_NNC_ERR_MEMORY;
	group->job.ops = &job_ops;
	group->job.width = s->metadata->num_nsps;
	group->card = card;
	group->channel = s->channel;
	group->nsps = s->metadata->num_nsps;
	group->program = program;
	status = allocate(group, s, kernels);
	if (status) {
		qeff_nsp_group_free(group);
		return status;
	}
	*result = group;
	return QEFF_NNC_OK;
}

void qeff_nsp_group_free(struct qeff_nsp_group *group)
{
	if (!group)
		return;
	if (group->l2tcm)
		munmap(group->l2tcm, (size_t)group->nsps * QEFF_MD_L2TCM_BYTES);
	free(group->shadow);
	free(group->instance);
	free(group);
}
