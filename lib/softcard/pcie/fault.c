/* SPDX-License-Identifier: MIT */
/* The plan's text, and its bookkeeping. */
#include "softcard/pcie/fault.h"

#include <stdlib.h>
#include <string.h>

const char qeff_fault_help[] =
	"A plan is a list of ACTION[=ARG]@EVENT#N[+], separated by commas: at the N-th EVENT (with\n"
	"+: at each from there on) ACTION. Events: msi0 (of MHI), msi (of the DMA bridge), control\n"
	"(message from the host), doorbell (write of a request tail), element (taken by the bridge),\n"
	"transfer (of an element), access (of a BAR), log (message of the boot log).\n"
	"  lose                     an interrupt (msi0, msi)\n"
	"  delay=MS, drop           the control response (control)\n"
	"  malform[=HOW]            it: length, magic, sequence, count, type, transaction, truncate,\n"
	"                           short, wrap\n"
	"  fail                     the transfer (transfer)\n"
	"  stall[=MS]               the DMA bridge channel, until reset without MS (doorbell)\n"
	"  crash-nsp[=DBC]          with a subsystem restart; the first channel in use by default\n"
	"  crash-qsm, reboot-qsm    SYS_ERR, in AMSS or already in PBL\n"
	"  ras-ce, ras-ue, ras-fatal[=SOURCE]  a RAS report: correctable, not, fatal\n"
	"  spurious=MS              interrupts of all DMA bridge channels, without cause\n"
	"  empty                    a message of no bytes before it (log)\n"
	"  off-bus                  reads give all ones, until the card is reset by the bus\n"
	"Example: fail@transfer#3,delay=500@control#10+\n";

static const char *const event_names[QEFF_NUM_EVENTS] = {
	"msi0", "msi", "control", "doorbell", "element", "transfer", "access", "log",
};

#define ON(event) (1u << QEFF_EVENT_##event)
#define ON_ANY	  ((1u << QEFF_NUM_EVENTS) - 1)

static const char *const malformations[QEFF_NUM_MALFORMATIONS] = {
	"length", "magic", "sequence", "count", "type", "transaction", "truncate", "short", "wrap",
};

static const struct {
	const char *name;
	unsigned int events;
	int64_t largest_argument; /* -1: takes none */
	bool needs_argument;
} actions[QEFF_NUM_ACTIONS] = {
	[QEFF_FAULT_LOSE] = { "lose", ON(MSI0) | ON(MSI), -1 },
	[QEFF_FAULT_DELAY] = { "delay", ON(CONTROL), 3600000, true },
	[QEFF_FAULT_DROP] = { "drop", ON(CONTROL), -1 },
	[QEFF_FAULT_MALFORM] = { "malform", ON(CONTROL), QEFF_NUM_MALFORMATIONS - 1 },
	[QEFF_FAULT_FAIL] = { "fail", ON(TRANSFER), -1 },
	[QEFF_FAULT_STALL] = { "stall", ON(DOORBELL), 3600000 },
	[QEFF_FAULT_CRASH_NSP] = { "crash-nsp", ON_ANY, 15 },
	[QEFF_FAULT_CRASH_QSM] = { "crash-qsm", ON_ANY, -1 },
	[QEFF_FAULT_REBOOT_QSM] = { "reboot-qsm", ON_ANY, -1 },
	[QEFF_FAULT_RAS_CE] = { "ras-ce", ON_ANY, 6 },
	[QEFF_FAULT_RAS_UE] = { "ras-ue", ON_ANY, 6 },
	[QEFF_FAULT_RAS_FATAL] = { "ras-fatal", ON_ANY, 6 },
	[QEFF_FAULT_OFF_BUS] = { "off-bus", ON_ANY, -1 },
	[QEFF_FAULT_SPURIOUS] = { "spurious", ON_ANY, 60000, true },
	[QEFF_FAULT_EMPTY] = { "empty", ON(LOG), -1 },
};

const char *qeff_fault_event_name(enum qeff_fault_event event)
{
	return event_names[event];
}

const char *qeff_fault_action_name(enum qeff_fault_action action)
{
	return actions[action].name;
}

static bool parse_number(const char *text, uint64_t *value, const char **end)
{
	char *stop;

	errno = 0;
	*value = strtoull(text, &stop, 10);
	*end = stop;
	return *text >= '0' && *text <= '9' && !errno;
}

static bool parse_action(struct qeff_fault *f, char *text)
{
	char *argument = strchr(text, '=');
	const char *end;
	uint64_t value;
	unsigned int i;

	if (argument)
		*argument++ = 0;
	for (i = 0; i < QEFF_NUM_ACTIONS; i++)
		if (!strcmp(text, actions[i].name))
			break;
	if (i == QEFF_NUM_ACTIONS)
		return false;
	f->action = (enum qeff_fault_action)i;
	f->argument = -1;
	if (!argument)
		return !actions[i].needs_argument;
	if (f->action == QEFF_FAULT_MALFORM) {
		for (unsigned int k = 0; k < QEFF_NUM_MALFORMATIONS; k++)
			if (!strcmp(argument, malformations[k]))
				f->argument = k;
		return f->argument >= 0;
	}
	if (!parse_number(argument, &value, &end) || *end || value > INT64_MAX ||
	    (int64_t)value > actions[i].largest_argument)
		return false;
	f->argument = (int64_t)value;
	return true;
}

static bool parse_event(struct qeff_fault *f, char *text)
{
	char *number = strchr(text, '#');
	const char *end;
	unsigned int i;

	if (!number)
		return false;
	*number++ = 0;
	for (i = 0; i < QEFF_NUM_EVENTS; i++)
		if (!strcmp(text, event_names[i]))
			break;
	if (i == QEFF_NUM_EVENTS || !(actions[f->action].events >> i & 1))
		return false;
	f->event = (enum qeff_fault_event)i;
	if (!parse_number(number, &f->number, &end) || !f->number)
		return false;
	f->repeat = *end == '+';
	return !end[f->repeat];
}

static bool parse_fault(struct qeff_fault *f, char *text)
{
	char *event = strchr(text, '@');

	if (!event)
		return false;
	*event++ = 0;
	return parse_action(f, text) && parse_event(f, event);
}

/* Adds the faults of @plan to those of @f. */
static int parse_plan(struct qeff_faults *f, const char *plan, struct qeff_error *err)
{
	char *copy, *rest, *one, entry[64];
	int ret = 0;

	if (!plan || !*plan)
		return 0;
	copy = rest = strdup(plan);
	if (!copy)
		return qeff_error_set(err, -ENOMEM, "fault plan: no memory for it");
	while (!ret && (one = strsep(&rest, ","))) {
		strncpy(entry, one, sizeof(entry) - 1);
		entry[sizeof(entry) - 1] = 0;
		if (f->num_faults == QEFF_MAX_FAULTS)
			ret = qeff_error_set(err, -EINVAL, "fault plan: more than %u faults",
					     QEFF_MAX_FAULTS);
		else if (!parse_fault(&f->plan[f->num_faults++], one))
			ret = qeff_error_set(err, -EINVAL,
					     "fault plan: \"%s\", expected ACTION[=ARG]@EVENT#N[+] "
					     "with an event that the action knows",
					     entry);
	}
	free(copy);
	return ret;
}

int qeff_faults_init(struct qeff_faults *f, const char *plan, struct qeff_error *err)
{
	memset(f, 0, sizeof(*f));
	pthread_mutex_init(&f->lock, NULL);
	return parse_plan(f, plan, err);
}

int qeff_faults_replace(struct qeff_faults *f, const char *plan, struct qeff_error *err)
{
	struct qeff_faults next = { 0 };
	int ret = parse_plan(&next, plan, err);

	if (ret)
		return ret;
	pthread_mutex_lock(&f->lock);
	memcpy(f->plan, next.plan, sizeof(f->plan));
	f->num_faults = next.num_faults;
	memcpy(f->base, f->seen, sizeof(f->base));
	pthread_mutex_unlock(&f->lock);
	return 0;
}

void qeff_faults_destroy(struct qeff_faults *f)
{
	pthread_mutex_destroy(&f->lock);
}

struct qeff_fault_hits qeff_faults_at(struct qeff_faults *f, enum qeff_fault_event event)
{
	struct qeff_fault_hits hits = { 0 };
	uint64_t number;

	pthread_mutex_lock(&f->lock);
	number = ++f->seen[event] - f->base[event];
	for (unsigned int i = 0; i < f->num_faults; i++) {
		const struct qeff_fault *fault = &f->plan[i];

		if (fault->event != event || number < fault->number ||
		    (number > fault->number && !fault->repeat))
			continue;
		hits.actions |= 1u << fault->action;
		hits.argument[fault->action] = fault->argument;
		f->fired[fault->action]++;
	}
	pthread_mutex_unlock(&f->lock);
	return hits;
}
