/* SPDX-License-Identifier: MIT */
/* The card put together: what the core asks of its host, what MHI asks of the card, and the loop.
 */
#include "softcard/pcie/internal.h"

#include "util/log.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

/* Whether this thread is in a control message: what the card reads then is no transfer of the
 * bridge. */
static _Thread_local bool in_control;

uint64_t qeff_vcard_time_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* --- faults --- */

/* Those that the server's thread carries out. */
#define OWN_ACTIONS                                                                                \
	(1u << QEFF_FAULT_CRASH_NSP | 1u << QEFF_FAULT_CRASH_QSM | 1u << QEFF_FAULT_REBOOT_QSM |   \
	 1u << QEFF_FAULT_RAS_CE | 1u << QEFF_FAULT_RAS_UE | 1u << QEFF_FAULT_RAS_FATAL |          \
	 1u << QEFF_FAULT_OFF_BUS | 1u << QEFF_FAULT_SPURIOUS)

static void wake(struct qeff_vcard *v)
{
	const uint64_t one = 1;

	/* a full counter wakes as well */
	if (write(v->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void qeff_vcard_act(struct qeff_vcard *v, const struct qeff_fault_hits *hits)
{
	uint32_t own = hits->actions & OWN_ACTIONS;

	if (!own)
		return;
	pthread_mutex_lock(&v->lock);
	for (unsigned int i = 0; i < QEFF_NUM_ACTIONS; i++)
		if (own >> i & 1)
			v->actions.argument[i] = hits->argument[i];
	v->actions.actions |= own;
	pthread_mutex_unlock(&v->lock);
	wake(v);
}

static void off_bus(struct qeff_vcard *v)
{
	v->off_bus = true;
	v->dma.enabled = false;
	qeff_mhi_power_on(&v->mhi);
}

static void report(struct qeff_vcard *v, const struct qeff_fault_hits *hits,
		   enum qeff_fault_action action, uint32_t type)
{
	int64_t source = hits->argument[action];

	/* DDR, unless the plan says otherwise */
	if (qeff_fault_hit(hits, action))
		qeff_channels_ras(v, type, source < 0 ? 2 : (uint32_t)source);
}

void qeff_vcard_do_actions(struct qeff_vcard *v)
{
	struct qeff_fault_hits hits;

	pthread_mutex_lock(&v->lock);
	hits = v->actions;
	v->actions.actions = 0;
	pthread_mutex_unlock(&v->lock);
	if (!hits.actions)
		return;
	report(v, &hits, QEFF_FAULT_RAS_CE, 0);
	report(v, &hits, QEFF_FAULT_RAS_UE, 2);
	report(v, &hits, QEFF_FAULT_RAS_FATAL, 1);
	if (qeff_fault_hit(&hits, QEFF_FAULT_CRASH_NSP))
		qeff_channels_crash_nsp(v, (int)hits.argument[QEFF_FAULT_CRASH_NSP]);
	if (qeff_fault_hit(&hits, QEFF_FAULT_CRASH_QSM))
		qeff_mhi_crash(&v->mhi, false);
	if (qeff_fault_hit(&hits, QEFF_FAULT_REBOOT_QSM))
		qeff_mhi_crash(&v->mhi, true);
	if (qeff_fault_hit(&hits, QEFF_FAULT_OFF_BUS))
		off_bus(v);
	if (qeff_fault_hit(&hits, QEFF_FAULT_SPURIOUS))
		v->spurious_until_us =
			qeff_vcard_time_us() + 1000 * (uint64_t)hits.argument[QEFF_FAULT_SPURIOUS];
}

static void raise_interrupt(struct qeff_vcard *v, unsigned int vector)
{
	struct qeff_fault_hits hits =
		qeff_faults_at(&v->faults, vector ? QEFF_EVENT_MSI : QEFF_EVENT_MSI0);

	qeff_vcard_act(v, &hits);
	if (!qeff_fault_hit(&hits, QEFF_FAULT_LOSE) && v->dma.enabled)
		qeff_irqs_raise(&v->irqs, vector);
}

/* --- what the core asks --- */

static void *host_translate(void *user, uint64_t address, size_t size_bytes, bool device_writes)
{
	struct qeff_vcard *v = user;
	struct qeff_fault_hits hits;

	if (!in_control) {
		hits = qeff_faults_at(&v->faults, QEFF_EVENT_TRANSFER);
		qeff_vcard_act(v, &hits);
		if (qeff_fault_hit(&hits, QEFF_FAULT_FAIL))
			return NULL;
	}
	return qeff_dma_find(&v->dma, address, size_bytes, device_writes);
}

static void host_interrupt(void *user, unsigned int vector)
{
	raise_interrupt(user, vector);
}

static uint64_t host_time_us(void *user)
{
	return qeff_vcard_time_us();
}

static void host_trace_control(void *user, bool to_card, const void *message, size_t size_bytes)
{
	struct qeff_vcard *v = user;

	qeff_trace_control(v->trace, to_card, message, size_bytes);
}

static void host_trace_element(void *user, unsigned int dbc, const void *element)
{
	struct qeff_vcard *v = user;
	struct qeff_fault_hits hits = qeff_faults_at(&v->faults, QEFF_EVENT_ELEMENT);

	qeff_vcard_act(v, &hits);
	qeff_trace_element(v->trace, dbc, element);
}

size_t qeff_vcard_control(struct qeff_vcard *v, const void *message, size_t size_bytes, void *reply)
{
	size_t reply_bytes;

	in_control = true;
	reply_bytes = qeff_card_control(v->card, message, size_bytes, reply);
	in_control = false;
	return reply_bytes;
}

/* --- what MHI asks --- */

static void mhi_interrupt(void *user)
{
	raise_interrupt(user, 0);
}

static void mhi_reset(void *user)
{
	struct qeff_vcard *v = user;

	qeff_card_reset(v->card);
	qeff_bridge_reset(&v->bridge);
	qeff_channels_reset(v);
	qeff_boot_reset(&v->boot);
}

static enum qeff_mhi_ee mhi_first_environment(void *user)
{
	struct qeff_vcard *v = user;

	return v->boot.num_images ? QEFF_EE_SBL : QEFF_EE_AMSS;
}

static void mhi_started(void *user, unsigned int channel)
{
	qeff_channels_started(user, channel);
}

static bool mhi_accepts(void *user, unsigned int channel)
{
	return qeff_channels_accept(user, channel);
}

static void mhi_receive(void *user, unsigned int channel, const void *data, size_t size_bytes)
{
	qeff_channels_receive(user, channel, data, size_bytes);
}

static bool mhi_image(void *user, uint64_t address, uint32_t size_bytes)
{
	struct qeff_vcard *v = user;

	return qeff_boot_sbl(&v->boot, &v->dma, address, size_bytes);
}

static const struct qeff_mhi_ops mhi_ops = {
	.interrupt = mhi_interrupt,
	.reset = mhi_reset,
	.first_environment = mhi_first_environment,
	.started = mhi_started,
	.accepts = mhi_accepts,
	.receive = mhi_receive,
	.image = mhi_image,
	.time_us = host_time_us,
};

/* --- life --- */

void qeff_vcard_power_on(struct qeff_vcard *v)
{
	pthread_mutex_lock(&v->lock);
	v->actions.actions = 0;
	pthread_mutex_unlock(&v->lock);
	qeff_mhi_power_on(&v->mhi);
	qeff_config_init(&v->config_space, v->device_id, v->has_rom);
	qeff_irqs_reset(&v->irqs);
	v->dma.enabled = false;
	v->off_bus = false;
}

static int make_core(struct qeff_vcard *v, struct qeff_error *err)
{
	const struct qeff_card_host host = {
		.translate = host_translate,
		.interrupt = host_interrupt,
		.time_us = host_time_us,
		/* no adopt(): a guest could change the pages after they have been judged */
		.trace_control = v->trace ? host_trace_control : NULL,
		.trace_element = host_trace_element,
		.user = v,
	};
	uint32_t serial;
	int ret = qeff_card_new(&v->config, &host, &v->card, err);

	if (ret)
		return ret;
	v->bridge.card = v->card;
	v->bridge.faults = &v->faults;
	serial = (uint32_t)crc32(0, (const uint8_t *)v->config.serial,
				 (uInt)strlen(v->config.serial));
	ret = qeff_mhi_init(&v->mhi, &v->dma, &mhi_ops, v, serial);
	return ret ? qeff_error_set(err, ret, "virtual card: no memory for it") : 0;
}

static int fill_in(struct qeff_vcard *v, const struct qeff_vcard_config *config,
		   struct qeff_error *err)
{
	int ret = qeff_faults_init(&v->faults, config->fault_plan, err);

	if (!ret)
		ret = qeff_boot_init(&v->boot, config->images, err);
	if (!ret && config->trace_path)
		ret = qeff_trace_open(config->trace_path, &v->trace, err);
	if (ret)
		return ret;
	if (config->stats_path) {
		v->stats_path = strdup(config->stats_path);
		if (!v->stats_path)
			return qeff_error_set(err, -ENOMEM, "virtual card: no memory for it");
	}
	if (config->fault_path) {
		v->fault_path = strdup(config->fault_path);
		if (!v->fault_path)
			return qeff_error_set(err, -ENOMEM, "virtual card: no memory for it");
	}
	v->has_rom = config->has_rom;
	v->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->wake_fd < 0)
		return qeff_error_set(err, -errno, "virtual card: no eventfd");
	ret = make_core(v, err);
	if (ret)
		return ret;
	qeff_vcard_power_on(v);
	return qeff_socket_listen(&v->socket, config->socket_path, err);
}

int qeff_vcard_new(const struct qeff_vcard_config *config, struct qeff_vcard **vcard,
		   struct qeff_error *err)
{
	struct qeff_vcard *v = calloc(1, sizeof(*v));
	int ret;

	if (!v)
		return qeff_error_set(err, -ENOMEM, "virtual card: no memory for it");
	v->config = config->card;
	v->device_id = config->device_id;
	v->wake_fd = v->socket.fd = v->socket.listen_fd = -1;
	pthread_mutex_init(&v->lock, NULL);
	qeff_dma_init(&v->dma);
	qeff_irqs_init(&v->irqs);
	ret = fill_in(v, config, err);
	if (ret) {
		qeff_vcard_free(v);
		return ret;
	}
	*vcard = v;
	return 0;
}

void qeff_vcard_free(struct qeff_vcard *v)
{
	if (!v)
		return;
	qeff_socket_close(&v->socket);
	if (v->mhi.ops) {
		qeff_mhi_destroy(&v->mhi);
		qeff_channels_reset(v);
	}
	qeff_card_free(v->card);
	qeff_trace_close(v->trace);
	qeff_irqs_destroy(&v->irqs);
	qeff_dma_destroy(&v->dma);
	qeff_faults_destroy(&v->faults);
	if (v->wake_fd >= 0)
		close(v->wake_fd);
	pthread_mutex_destroy(&v->lock);
	free(v->stats_path);
	free(v->fault_path);
	free(v);
}

void qeff_vcard_stop(struct qeff_vcard *v)
{
	v->stop = true;
	wake(v);
}

void qeff_vcard_dump(struct qeff_vcard *v)
{
	v->dump = true;
	wake(v);
}

void qeff_vcard_replan(struct qeff_vcard *v)
{
	v->replan = true;
	wake(v);
}

/* --- the loop --- */

/* The file is gone when its plan is in force, or was wrong. */
static void replan(struct qeff_vcard *v)
{
	struct qeff_error err = { 0 };
	char plan[1024];
	size_t bytes;
	FILE *file;

	file = v->fault_path ? fopen(v->fault_path, "r") : NULL;
	if (!file)
		return;
	bytes = fread(plan, 1, sizeof(plan) - 1, file);
	fclose(file);
	while (bytes && plan[bytes - 1] == '\n')
		bytes--;
	plan[bytes] = 0;
	if (qeff_faults_replace(&v->faults, plan, &err))
		qeff_log(QEFF_LOG_ERROR, "%s", err.message);
	unlink(v->fault_path);
}

/* The client is gone, and its memory and interrupts with it; the card loses its power. */
static void lose_client(struct qeff_vcard *v)
{
	qeff_socket_drop_client(&v->socket);
	v->left_as_master = qeff_config_bus_master(&v->config_space);
	qeff_vcard_power_on(v);
	qeff_irqs_clear(&v->irqs);
	qeff_dma_remove_all(&v->dma);
}

/* As many messages as are there, as long as their replies go out; a few at a time, so that what
 * else is due gets its turn. */
static void serve_client(struct qeff_vcard *v)
{
	struct qeff_socket *s = &v->socket;
	int sent, ret = qeff_socket_flush(s);

	for (int i = 0; !ret && i < 64 && !qeff_socket_is_sending(s); i++) {
		ret = qeff_socket_receive(s);
		if (!ret)
			return;
		if (ret < 0)
			break;
		ret = qeff_vfio_handle(v, s);
		qeff_socket_next(s);
		qeff_vcard_do_actions(v);
		/* a client that is about to be dropped hears why */
		sent = qeff_socket_flush(s);
		ret = ret ? ret : sent;
	}
	if (ret < 0) {
		if (ret != -ECONNRESET)
			qeff_log(QEFF_LOG_WARN, "vfio-user client dropped: %s", strerror(-ret));
		lose_client(v);
	}
}

static void take_wakeups(struct qeff_vcard *v)
{
	struct qeff_error err = { 0 };
	uint64_t count;

	if (read(v->wake_fd, &count, sizeof(count)) < 0)
		return;
	qeff_vcard_do_actions(v);
	if (atomic_exchange(&v->replan, false))
		replan(v);
	if (atomic_exchange(&v->dump, false) && qeff_vcard_write_stats(v, &err))
		qeff_log(QEFF_LOG_ERROR, "%s", err.message);
}

/* Does what is due by the clock; returns how long to sleep, -1 for ever. */
static int timers(struct qeff_vcard *v)
{
	uint64_t now = qeff_vcard_time_us();
	uint64_t next = qeff_channels_release(v, now);
	uint64_t bridge = qeff_bridge_release(&v->bridge, now);

	next = bridge < next ? bridge : next;
	if (now < v->spurious_until_us) {
		/* as fast as they are taken: those that were not are one */
		for (unsigned int i = 0; i < QEFF_CARD_DBCS; i++)
			raise_interrupt(v, 1 + i);
		return 0;
	}
	if (next == UINT64_MAX)
		return -1;
	return next > now ? (int)((next - now) / 1000 + 1) : 0;
}

int qeff_vcard_run(struct qeff_vcard *v, struct qeff_error *err)
{
	struct qeff_socket *s = &v->socket;

	while (!v->stop) {
		struct pollfd fds[2] = {
			{ .fd = v->wake_fd, .events = POLLIN },
			/* one client at a time */
			{ .fd = s->fd >= 0 ? s->fd : s->listen_fd,
			  .events = qeff_socket_is_sending(s) ? POLLOUT : POLLIN },
		};
		int n = poll(fds, 2, timers(v));

		if (n < 0 && errno != EINTR)
			return qeff_error_set(err, -errno, "virtual card: poll failed");
		if (n <= 0)
			continue;
		if (fds[0].revents)
			take_wakeups(v);
		if (!fds[1].revents)
			continue;
		if (s->fd >= 0)
			serve_client(v);
		else if (qeff_socket_accept(s))
			v->clients++;
	}
	return qeff_vcard_write_stats(v, err);
}
