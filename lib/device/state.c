/* SPDX-License-Identifier: MIT */
/*
 * What this process publishes: the cards it has open and the programs it runs on them, as JSON in a
 * file named after its pid. The file is replaced as a whole, and whoever holds its lock lives: a
 * reader that can take the lock knows that the process is dead.
 *
 * It is written when a card or program comes or goes, and by a thread of its own, at most once a
 * second, when inferences were counted. What cannot be published is not; the log says so once, at
 * level DEBUG.
 */
#include "device/state.h"

#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct qeff_state_program {
	struct qeff_state_program *next;
	char device[32];
	char *name;
	char *path;
	uint32_t nsps;
	uint64_t ddr_bytes;
	atomic_ullong inferences;
};

struct open_device {
	struct open_device *next;
	struct qeff_device *device;
};

/* The thread that writes counters. Lives from the first program to the close of the last card. */
struct publisher {
	pthread_t thread;
	sem_t wake;
	atomic_bool dirty;
	atomic_bool stop;
};

static struct {
	pthread_mutex_t lock; /* all of this */
	struct open_device *devices;
	struct qeff_state_program *programs;
	struct publisher *publisher;
	char folder[256]; /* empty: nothing is published */
	int fd;		  /* the published file, locked; -1 if there is none */
} state = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1 };

bool qeff_state_folder(unsigned int number, char *path, size_t size_bytes)
{
	const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
	int used = -1;

	if (number == 0 && runtime && *runtime == '/')
		used = snprintf(path, size_bytes, "%s/qeff", runtime);
	else if (number == 1)
		used = snprintf(path, size_bytes, "/run/qeff");
	return used >= 0 && (size_t)used < size_bytes;
}

static void choose_folder(void)
{
	for (unsigned int i = 0; i < QEFF_STATE_FOLDERS; i++) {
		if (!qeff_state_folder(i, state.folder, sizeof(state.folder)))
			continue;
		if ((mkdir(state.folder, i == 0 ? 0700 : 0755) == 0 || errno == EEXIST) &&
		    access(state.folder, W_OK | X_OK) == 0)
			return;
	}
	state.folder[0] = '\0';
	qeff_log(QEFF_LOG_DEBUG, "no folder to publish in: XDG_RUNTIME_DIR is not set or not "
				 "writable, and neither is /run/qeff");
}

/* Names and paths need not be UTF-8; JSON strings must. */
static json_t *text_of(const char *text)
{
	json_t *string = json_string(text ? text : "");

	return string ? string : json_string("(not UTF-8)");
}

static json_t *device_json(struct qeff_device *device)
{
	const struct qeff_device_info *info = qeff_device_get_info(device);
	struct qeff_device_status status;
	json_t *object = json_object();

	json_object_set_new(object, "name", text_of(info->name));
	json_object_set_new(object, "kind",
			    json_string(info->kind == QEFF_DEVICE_SOFT ? "soft" : "drm"));
	/* a card on the bus can be asked by anyone; this one only by us, and it never makes us wait
	 */
	if (info->kind == QEFF_DEVICE_SOFT && qeff_device_query(device, &status, NULL) == 0) {
		json_object_set_new(object, "nsp_total", json_integer(status.nsp_total));
		json_object_set_new(object, "nsp_free", json_integer(status.nsp_free));
		json_object_set_new(object, "ddr_total_bytes",
				    json_integer((json_int_t)status.ddr_total_bytes));
		json_object_set_new(object, "ddr_free_bytes",
				    json_integer((json_int_t)status.ddr_free_bytes));
	}
	return object;
}

static json_t *program_json(struct qeff_state_program *p)
{
	json_t *object = json_object();

	json_object_set_new(object, "device", text_of(p->device));
	json_object_set_new(object, "name", text_of(p->name));
	json_object_set_new(object, "path", text_of(p->path));
	json_object_set_new(object, "nsps", json_integer(p->nsps));
	json_object_set_new(object, "ddr_bytes", json_integer((json_int_t)p->ddr_bytes));
	json_object_set_new(object, "inferences",
			    json_integer((json_int_t)atomic_load(&p->inferences)));
	return object;
}

/* Whether an earlier entry of the list is for the same card. */
static bool is_repeated(const struct open_device *entry)
{
	const char *name = qeff_device_get_info(entry->device)->name;

	for (const struct open_device *at = state.devices; at != entry; at = at->next)
		if (strcmp(qeff_device_get_info(at->device)->name, name) == 0)
			return true;
	return false;
}

static char *describe(void)
{
	json_t *root = json_object(), *devices = json_array(), *programs = json_array();
	char *text;

	json_object_set_new(root, "pid", json_integer(getpid()));
	json_object_set_new(root, "command", text_of(program_invocation_short_name));
	for (struct open_device *at = state.devices; at; at = at->next)
		if (!is_repeated(at))
			json_array_append_new(devices, device_json(at->device));
	for (struct qeff_state_program *p = state.programs; p; p = p->next)
		json_array_append_new(programs, program_json(p));
	json_object_set_new(root, "devices", devices);
	json_object_set_new(root, "programs", programs);
	text = json_dumps(root, JSON_INDENT(1));
	json_decref(root);
	return text;
}

static void give_up(const char *path, const char *what)
{
	char text[128];

	qeff_log(QEFF_LOG_DEBUG, "%s: cannot %s: %s; nothing is published", path, what,
		 strerror_r(errno, text, sizeof(text)));
	state.folder[0] = '\0';
}

/* The new file is locked before it has the name under which readers look for it. */
static void publish_locked(void)
{
	char path[300], temporary[300], *text;
	mode_t mode = strncmp(state.folder, "/run/qeff", 10) == 0 ? 0644 : 0600;
	size_t length;
	int fd;

	if (!state.folder[0] || !state.devices)
		return;
	text = describe();
	if (!text)
		return;
	length = strlen(text);
	snprintf(path, sizeof(path), "%s/%d.json", state.folder, getpid());
	snprintf(temporary, sizeof(temporary), "%s/.%d.tmp", state.folder, getpid());
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0) {
		give_up(temporary, "create");
	} else if (flock(fd, LOCK_EX | LOCK_NB) < 0 || write(fd, text, length) != (ssize_t)length ||
		   rename(temporary, path) < 0) {
		give_up(temporary, "write");
		unlink(temporary);
		close(fd);
	} else {
		if (state.fd >= 0)
			close(state.fd);
		state.fd = fd;
	}
	free(text);
}

static void withdraw_locked(void)
{
	char path[300];

	if (state.fd < 0)
		return;
	snprintf(path, sizeof(path), "%s/%d.json", state.folder, getpid());
	unlink(path);
	close(state.fd);
	state.fd = -1;
}

static void *publish_counters(void *argument)
{
	struct publisher *p = argument;
	struct timespec next;

	for (;;) {
		while (sem_wait(&p->wake) < 0 && errno == EINTR)
			;
		clock_gettime(CLOCK_MONOTONIC, &next);
		next.tv_sec++;
		/* while it is dirty, only the order to stop wakes us */
		while (!atomic_load(&p->stop) &&
		       (sem_clockwait(&p->wake, CLOCK_MONOTONIC, &next) == 0 || errno == EINTR))
			;
		if (atomic_load(&p->stop))
			return NULL;
		atomic_store(&p->dirty, false);
		pthread_mutex_lock(&state.lock);
		publish_locked();
		pthread_mutex_unlock(&state.lock);
	}
}

static void start_publisher_locked(void)
{
	struct publisher *p;

	if (state.publisher || !state.folder[0])
		return;
	p = calloc(1, sizeof(*p));
	if (!p)
		return;
	sem_init(&p->wake, 0, 0);
	if (pthread_create(&p->thread, NULL, publish_counters, p)) {
		sem_destroy(&p->wake);
		free(p);
		return;
	}
	state.publisher = p;
}

static void stop_publisher(struct publisher *p)
{
	if (!p)
		return;
	atomic_store(&p->stop, true);
	sem_post(&p->wake);
	pthread_join(p->thread, NULL);
	sem_destroy(&p->wake);
	free(p);
}

/* A child has none of its parent's cards, nor may it keep the lock on the parent's file. */
static void forget_in_child(void)
{
	if (state.fd >= 0)
		close(state.fd);
	pthread_mutex_init(&state.lock, NULL);
	state.devices = NULL;
	state.programs = NULL;
	state.publisher = NULL;
	state.folder[0] = '\0';
	state.fd = -1;
}

static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, forget_in_child);
}

void qeff_state_device_opened(struct qeff_device *device)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct open_device *entry = malloc(sizeof(*entry));

	pthread_once(&once, watch_forks);
	if (!entry)
		return;
	pthread_mutex_lock(&state.lock);
	if (!state.devices)
		choose_folder();
	entry->device = device;
	entry->next = state.devices;
	state.devices = entry;
	publish_locked();
	pthread_mutex_unlock(&state.lock);
}

void qeff_state_device_closed(struct qeff_device *device)
{
	struct publisher *publisher = NULL;
	struct open_device **link = &state.devices, *entry;

	pthread_mutex_lock(&state.lock);
	while (*link && (*link)->device != device)
		link = &(*link)->next;
	entry = *link;
	if (entry)
		*link = entry->next;
	/* a card without an entry, for which there was no memory, may still run programs */
	if (state.devices || state.programs) {
		publish_locked();
	} else {
		withdraw_locked();
		publisher = state.publisher;
		state.publisher = NULL;
	}
	pthread_mutex_unlock(&state.lock);
	free(entry);
	stop_publisher(publisher);
}

struct qeff_state_program *qeff_state_program_loaded(struct qeff_device *device, const char *name,
						     const char *path, uint32_t nsps,
						     uint64_t ddr_bytes)
{
	struct qeff_state_program *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	snprintf(p->device, sizeof(p->device), "%s", qeff_device_get_info(device)->name);
	p->name = strdup(name ? name : "");
	/* others have another working directory */
	p->path = path ? realpath(path, NULL) : NULL;
	if (!p->path)
		p->path = strdup(path ? path : "");
	p->nsps = nsps;
	p->ddr_bytes = ddr_bytes;
	pthread_mutex_lock(&state.lock);
	p->next = state.programs;
	state.programs = p;
	start_publisher_locked();
	publish_locked();
	pthread_mutex_unlock(&state.lock);
	return p;
}

void qeff_state_program_changed(struct qeff_state_program *program, uint32_t nsps,
				uint64_t ddr_bytes)
{
	if (!program)
		return;
	pthread_mutex_lock(&state.lock);
	program->nsps = nsps;
	program->ddr_bytes = ddr_bytes;
	publish_locked();
	pthread_mutex_unlock(&state.lock);
}

void qeff_state_program_updated(struct qeff_state_program *program, uint64_t inferences)
{
	struct publisher *p;

	if (!program)
		return;
	atomic_fetch_add_explicit(&program->inferences, inferences, memory_order_relaxed);
	/* stays while there is a program, whose device is open */
	p = state.publisher;
	if (p && !atomic_exchange(&p->dirty, true))
		sem_post(&p->wake);
}

void qeff_state_program_unloaded(struct qeff_state_program *program)
{
	struct qeff_state_program **link = &state.programs;

	if (!program)
		return;
	pthread_mutex_lock(&state.lock);
	while (*link && *link != program)
		link = &(*link)->next;
	if (*link)
		*link = program->next;
	publish_locked();
	pthread_mutex_unlock(&state.lock);
	free(program->name);
	free(program->path);
	free(program);
}
