/* SPDX-License-Identifier: MIT */
/* qeff-vcard: a software card on an emulated PCIe bus, for QEMU to plug in by vfio-user. */
#include "device/soft_config.h"
#include "softcard/pcie/config_space.h"
#include "softcard/pcie/fault.h"
#include "softcard/pcie/vcard.h"
#include "util/log.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_FAILED 1
#define EXIT_USAGE  2

static const char usage[] =
	"Usage: qeff-vcard --socket PATH [OPTION...]\n"
	"Serves a card made of software to a vfio-user client: QEMU from 10.1 on, with\n"
	"  -device '{\"driver\":\"vfio-user-pci\",\"socket\":{\"type\":\"unix\",\"path\":\"PATH\"}}'\n"
	"\n"
	"  -s, --socket PATH     where it listens\n"
	"      --nsps N          NSPs, 1 to 16 (16)\n"
	"      --ddr SIZE        device memory, such as 8G (32G)\n"
	"      --sku NAME        PCIe, Pro, Lite, Ultra and so on (PCIe)\n"
	"      --serial TEXT     board serial (SOFT0000)\n"
	"      --device NAME     aic100 or aic080: the PCI device id (aic100)\n"
	"      --images LIST     images to ask the host for, or none (1,2,5,9,10)\n"
	"      --rom             with an expansion ROM, an empty one\n"
	"      --fault PLAN      what goes wrong, see --help-faults\n"
	"      --fault-file FILE at each SIGUSR2 the plan in it, counted from then on,\n"
	"                        replaces the one before; then the file is removed\n"
	"      --trace FILE      writes what the card is asked to do\n"
	"      --stats FILE      writes counters as JSON at the end, and at each SIGUSR1\n"
	"  -h, --help            this page\n"
	"      --help-faults     the syntax of fault plans\n"
	"      --version         prints the version\n"
	"\n"
	"Ends at SIGTERM or SIGINT. Exit status: 0 then, 1 if it cannot serve, 2 if the\n"
	"command line is wrong.\n";

enum {
	OPT_NSPS = 256,
	OPT_DDR,
	OPT_SKU,
	OPT_SERIAL,
	OPT_DEVICE,
	OPT_IMAGES,
	OPT_FAULT,
	OPT_FAULT_FILE,
	OPT_ROM,
	OPT_TRACE,
	OPT_STATS,
	OPT_HELP_FAULTS,
	OPT_VERSION,
};

static const struct option options[] = {
	{ "socket", required_argument, NULL, 's' },
	{ "nsps", required_argument, NULL, OPT_NSPS },
	{ "ddr", required_argument, NULL, OPT_DDR },
	{ "sku", required_argument, NULL, OPT_SKU },
	{ "serial", required_argument, NULL, OPT_SERIAL },
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "images", required_argument, NULL, OPT_IMAGES },
	{ "rom", no_argument, NULL, OPT_ROM },
	{ "fault", required_argument, NULL, OPT_FAULT },
	{ "fault-file", required_argument, NULL, OPT_FAULT_FILE },
	{ "trace", required_argument, NULL, OPT_TRACE },
	{ "stats", required_argument, NULL, OPT_STATS },
	{ "help", no_argument, NULL, 'h' },
	{ "help-faults", no_argument, NULL, OPT_HELP_FAULTS },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static struct qeff_vcard *vcard;

static void on_signal(int number)
{
	if (number == SIGUSR1)
		qeff_vcard_dump(vcard);
	else if (number == SIGUSR2)
		qeff_vcard_replan(vcard);
	else
		qeff_vcard_stop(vcard);
}

static void print_log(enum qeff_log_level level, const char *line, void *user)
{
	fprintf(stderr, "qeff-vcard: %s\n", line);
}

static int wrong(const char *message)
{
	fprintf(stderr, "qeff-vcard: %s; see --help\n", message);
	exit(EXIT_USAGE);
}

/* The card's shape is written as an environment variable of libqeff writes it, and read by the same
 * code. */
static void add_shape(char *shape, size_t room, const char *key, const char *value)
{
	size_t used = strlen(shape);

	if (strpbrk(value, ",;=") || strlen(key) + strlen(value) + used + 3 > room)
		wrong("a value is too long or holds one of \",;=\"");
	snprintf(shape + used, room - used, "%s=%s,", key, value);
}

static void set_device(struct qeff_vcard_config *config, const char *name)
{
	if (!strcmp(name, "aic100"))
		config->device_id = QEFF_PCI_AIC100;
	else if (!strcmp(name, "aic080"))
		config->device_id = QEFF_PCI_AIC080;
	else
		wrong("--device: expected aic100 or aic080");
}

static void set_shape(struct qeff_vcard_config *config, const char *shape)
{
	static const char prefix[] = "QEFF_SOFTCARDS: ";
	struct qeff_soft_config soft;
	struct qeff_error err = { 0 };

	if (qeff_soft_config_parse(shape, &soft, &err))
		wrong(!strncmp(err.message, prefix, sizeof(prefix) - 1)
			      ? err.message + sizeof(prefix) - 1
			      : err.message);
	config->card = soft.cards[0];
}

static void parse_options(int argc, char **argv, struct qeff_vcard_config *config)
{
	char shape[256] = "";
	int c;

	config->device_id = QEFF_PCI_AIC100;
	while ((c = getopt_long(argc, argv, "s:h", options, NULL)) != -1) {
		switch (c) {
		case 's':
			config->socket_path = optarg;
			break;
		case OPT_NSPS:
			add_shape(shape, sizeof(shape), "nsps", optarg);
			break;
		case OPT_DDR:
			add_shape(shape, sizeof(shape), "ddr", optarg);
			break;
		case OPT_SKU:
			add_shape(shape, sizeof(shape), "sku", optarg);
			break;
		case OPT_SERIAL:
			add_shape(shape, sizeof(shape), "serial", optarg);
			break;
		case OPT_DEVICE:
			set_device(config, optarg);
			break;
		case OPT_IMAGES:
			config->images = optarg;
			break;
		case OPT_FAULT:
			config->fault_plan = optarg;
			break;
		case OPT_FAULT_FILE:
			config->fault_path = optarg;
			break;
		case OPT_ROM:
			config->has_rom = true;
			break;
		case OPT_TRACE:
			config->trace_path = optarg;
			break;
		case OPT_STATS:
			config->stats_path = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		case OPT_HELP_FAULTS:
			fputs(qeff_fault_help, stdout);
			exit(0);
		case OPT_VERSION:
			puts("qeff-vcard " QEFF_VERSION);
			exit(0);
		default:
			exit(EXIT_USAGE);
		}
	}
	if (optind < argc)
		wrong("it takes no arguments");
	if (!config->socket_path)
		wrong("--socket is missing");
	set_shape(config, shape);
}

int main(int argc, char **argv)
{
	struct qeff_vcard_config config = { 0 };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct qeff_error err = { 0 };
	sigset_t signals;
	int ret;

	parse_options(argc, argv, &config);
	qeff_set_log(print_log, QEFF_LOG_WARN, NULL);
	/* a client may hand over a pipe for an interrupt */
	signal(SIGPIPE, SIG_IGN);
	/* from when the socket is there, a signal ends it in good order */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGUSR2);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	ret = qeff_vcard_new(&config, &vcard, &err);
	if (ret) {
		fprintf(stderr, "qeff-vcard: %s\n", err.message);
		return ret == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	sigprocmask(SIG_UNBLOCK, &signals, NULL);
	ret = qeff_vcard_run(vcard, &err);
	if (ret)
		fprintf(stderr, "qeff-vcard: %s\n", err.message);
	qeff_vcard_free(vcard);
	return ret ? EXIT_FAILED : 0;
}
