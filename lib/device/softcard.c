/* SPDX-License-Identifier: MIT */
/*
 * Software cards and their users. A card is made when it is first opened and freed when its last
 * user leaves; users are numbered over all cards, lowest free number first, as the kernel does it.
 */
#include "device/softcard.h"

#include "softcard/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Guards the list of cards, the lists of users, and opening and closing as a whole. */
static pthread_mutex_t cards_lock = PTHREAD_MUTEX_INITIALIZER;
static struct soft_card *cards;

uint64_t qeff_soft_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void *host_translate(void *user, uint64_t address, size_t size_bytes, bool device_writes)
{
	struct soft_card *c = user;

	return qeff_ranges_find(&c->ranges, address, size_bytes, device_writes, false);
}

static const void *host_adopt(void *user, uint64_t address, size_t size_bytes)
{
	struct soft_card *c = user;

	return qeff_ranges_find(&c->ranges, address, size_bytes, false, true);
}

/* What was adopted stays with whoever lent it, who takes it back by reclaim(). */
static void host_release(void *user, const void *data, size_t size_bytes)
{
}

static void host_interrupt(void *user, unsigned int vector)
{
	/* vector 0 is the control channel's, whose replies come back from the call itself */
	if (vector > 0)
		qeff_soft_drain(user, vector - 1);
}

static uint64_t host_time_us(void *user)
{
	return qeff_soft_now_us();
}

static void host_trace_control(void *user, bool to_card, const void *message, size_t size_bytes)
{
	struct soft_card *c = user;

	qeff_trace_control(c->trace, to_card, message, size_bytes);
}

static void host_trace_element(void *user, unsigned int dbc, const void *element)
{
	struct soft_card *c = user;

	qeff_trace_element(c->trace, dbc, element);
}

/* Into the file that QEFF_TRACE names; cards but the first add their number to it. */
static int open_trace(struct soft_card *c, struct qeff_card_host *host, struct qeff_error *err)
{
	const char *path = getenv("QEFF_TRACE");
	char numbered[4096];

	if (!path || !*path)
		return 0;
	if (c->number) {
		snprintf(numbered, sizeof(numbered), "%s.%u", path, c->number);
		path = numbered;
	}
	host->trace_control = host_trace_control;
	host->trace_element = host_trace_element;
	return qeff_trace_open(path, &c->trace, err);
}

static void destroy_card(struct soft_card *c)
{
	qeff_card_free(c->card);
	qeff_trace_close(c->trace);
	for (unsigned int i = 0; i < QAIC_MAX_DBCS; i++) {
		pthread_mutex_destroy(&c->dbcs[i].submit);
		pthread_cond_destroy(&c->dbcs[i].change);
	}
	qeff_ranges_destroy(&c->ranges);
	pthread_mutex_destroy(&c->control);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static void init_locks(struct soft_card *c)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	for (unsigned int i = 0; i < QAIC_MAX_DBCS; i++) {
		pthread_mutex_init(&c->dbcs[i].submit, NULL);
		pthread_cond_init(&c->dbcs[i].change, &monotonic);
	}
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&c->control, NULL);
	pthread_mutex_init(&c->lock, NULL);
	qeff_ranges_init(&c->ranges);
}

static int make_card(uint32_t number, const struct qeff_card_config *config,
		     struct soft_card **card, struct qeff_error *err)
{
	struct soft_card *c = calloc(1, sizeof(*c));
	struct qeff_card_host host = {
		.translate = host_translate,
		.interrupt = host_interrupt,
		.time_us = host_time_us,
		.adopt = host_adopt,
		.release = host_release,
		.user = c,
	};
	int ret;

	if (!c)
		return qeff_error_set(err, -ENOMEM, "soft%u: out of memory", number);
	c->number = number;
	/* the longest run of whole pages whose length fits a request element */
	c->segment_bytes = UINT64_C(0xfffff000);
	init_locks(c);
	ret = open_trace(c, &host, err);
	if (!ret)
		ret = qeff_card_new(config, &host, &c->card, err);
	if (!ret)
		ret = qeff_soft_link_up(c, err);
	if (ret) {
		destroy_card(c);
		return ret;
	}
	c->next = cards;
	cards = c;
	*card = c;
	return 0;
}

static bool handle_taken(uint32_t handle)
{
	for (struct soft_card *c = cards; c; c = c->next)
		for (struct soft_user *u = c->users; u; u = u->next)
			if (u->handle == handle)
				return true;
	return false;
}

static void put_card(struct soft_card *c)
{
	struct soft_card **link = &cards;

	if (c->num_users > 0)
		return;
	while (*link != c)
		link = &(*link)->next;
	*link = c->next;
	destroy_card(c);
}

static void soft_close(struct qeff_transport *t)
{
	struct soft_user *u = soft_user_of(t);
	struct soft_card *c = u->card;
	struct soft_user **link = &c->users;

	qeff_soft_terminate(u);
	for (size_t i = 0; i < u->num_buffers; i++)
		qeff_soft_buffer_free(t, (uint32_t)i + 1);

	pthread_mutex_lock(&cards_lock);
	while (*link != u)
		link = &(*link)->next;
	*link = u->next;
	c->num_users--;
	put_card(c);
	pthread_mutex_unlock(&cards_lock);
	free(u->buffers);
	free(u);
}

static int soft_lend(struct qeff_transport *t, const void *data, size_t size_bytes)
{
	return qeff_ranges_add(&soft_user_of(t)->card->ranges, data, size_bytes, QEFF_RANGE_LENT,
			       false);
}

static void soft_reclaim(struct qeff_transport *t, const void *data, size_t size_bytes)
{
	qeff_ranges_remove(&soft_user_of(t)->card->ranges, data, size_bytes, QEFF_RANGE_LENT,
			   false);
}

static const struct qeff_transport_ops soft_ops = {
	.name = "softcard",
	.close = soft_close,
	.manage = qeff_soft_manage,
	.buffer_create = qeff_soft_buffer_create,
	.buffer_map = qeff_soft_buffer_map,
	.buffer_export = qeff_soft_buffer_export,
	.buffer_free = qeff_soft_buffer_free,
	.slice = qeff_soft_slice,
	.unslice = qeff_soft_unslice,
	.execute = qeff_soft_execute,
	.execute_partial = qeff_soft_execute_partial,
	.wait = qeff_soft_wait,
	.stats = qeff_soft_stats,
	.lend = soft_lend,
	.reclaim = soft_reclaim,
};

static struct soft_card *find_card(uint32_t number)
{
	struct soft_card *c = cards;

	while (c && c->number != number)
		c = c->next;
	return c;
}

int qeff_softcard_open(uint32_t number, const struct qeff_card_config *config,
		       struct qeff_transport **transport, struct qeff_error *err)
{
	struct soft_user *u = calloc(1, sizeof(*u));
	struct soft_card *c;
	int ret = 0;

	if (!u)
		return qeff_error_set(err, -ENOMEM, "soft%u: out of memory", number);
	u->base.ops = &soft_ops;
	snprintf(u->name, sizeof(u->name), "soft%u", number);

	pthread_mutex_lock(&cards_lock);
	c = find_card(number);
	if (!c)
		ret = make_card(number, config, &c, err);
	if (!ret) {
		while (handle_taken(u->handle))
			u->handle++;
		u->card = c;
		u->next = c->users;
		c->users = u;
		c->num_users++;
	}
	pthread_mutex_unlock(&cards_lock);
	if (ret) {
		free(u);
		return ret;
	}
	*transport = &u->base;
	return 0;
}
