/* SPDX-License-Identifier: MIT */
/* Names of L3 commands and statuses, and the errno and sentence each status becomes. */
#include "nnc/command.h"

#include "nnc/client.h"

struct status_row {
	int32_t status;
	int error;
	const char *name;
	const char *sentence; /* NULL: the name says enough */
};

static const struct status_row statuses[] = {
	{ 0, 0, "success", NULL },
	{ -1, EIO, "general error", NULL },
	{ -2, EIO, "DMA error", "the card could not read the host's memory" },
	{ -3, EOPNOTSUPP, "undefined request", "the card's firmware does not know this command" },
	{ -4, ENOMEM, "memory allocation", "not enough DDR free on the card" },
	{ -5, EINVAL, "metadata error", "the card refuses the program's metadata" },
	{ -6, EINVAL, "parameter", "the card refuses a parameter" },
	{ -7, ETIMEDOUT, "timeout", "the card's firmware timed out" },
	{ -8, EIO, "not initialised", NULL },
	{ -9, EPERM, "operation not permitted",
	  "the card does not permit it (not the owner, or still in use)" },
	{ -10, ENOBUFS, "buffer too small", NULL },
	{ -11, ENOENT, "resource not found",
	  "the card knows no such constants, program or activation" },
	{ -12, EBUSY, "MCID allocation", "no multicast id free on the card" },
	{ -13, EBUSY, "NSP allocation",
	  "no NSP free: the card has fewer free than the program needs" },
	{ -14, EBUSY, "VC allocation", "no virtual channel free on the card" },
	{ -15, EBUSY, "semaphore allocation", "no semaphore free on the card" },
	{ -16, EIO, "NSP response", "an NSP did not answer" },
	{ -17, EINVAL, "command length", "the card refuses the length of the command or its data" },
	{ -18, EBUSY, "reservation ids exhausted", NULL },
	{ -19, ENOENT, "doorbell id not found", NULL },
	{ -20, EBUSY, "doorbell ids exhausted", NULL },
	{ -21, EIO, "OATU", "outbound address translation failed on the card" },
	{ -22, EIO, "IATU", "inbound address translation failed on the card" },
	{ -34, EINVAL, "queue too small", NULL },
	{ -35, EIO, "VC configuration", NULL },
	{ -36, EAGAIN, "subsystem restart", "a subsystem of the card is restarting" },
	{ -37, EINVAL, "safety: activation record", NULL },
	{ -38, EINVAL, "safety: metadata", "the metadata does not match its CRC" },
	{ -39, EIO, "safety: glink", NULL },
	{ -40, EIO, "safety: MHI", NULL },
	{ -41, EINVAL, "safety: integrity of metadata", "the metadata fails its integrity check" },
	{ -42, EINVAL, "safety: integrity of constants",
	  "the constants fail their integrity check" },
	{ -43, EINVAL, "safety: integrity of ELF", "the program fails its integrity check" },
	{ -44, EIO, "XPU configuration", NULL },
	{ -45, EIO, "LUT update", NULL },
	{ -46, ENOEXEC, "program image", "the card refuses the program image" },
	{ -47, EIO, "MCID configuration", NULL },
	{ -48, EIO, "L2TCM initialisation (map)", NULL },
	{ -49, EINVAL, "L2TCM initialisation", NULL },
	{ -50, EINVAL, "dynamic constants", NULL },
	{ -51, EIO, "GSM configuration", "the card could not set up the semaphores" },
	{ -52, EIO, "VC setup", NULL },
	{ -53, EIO, "physical NSP id", NULL },
	{ -54, EINVAL, "metadata retrieval", "the card finds no metadata in the program" },
	{ -55, EINVAL, "VC id", NULL },
	{ -56, EINVAL, "number of NSPs", "the card refuses the program's number of NSPs" },
	{ -57, EINVAL, "switch parameter", NULL },
	{ -58, EINVAL, "switch sequence", NULL },
	{ -59, EINVAL, "switch state", NULL },
	{ -60, EINVAL, "switch VC invalid", NULL },
	{ -61, EINVAL, "metadata parse",
	  "the card refuses the program's metadata: it cannot be parsed" },
	{ -62, EINVAL, "NSP count from metadata", "the program wants more NSPs than the card has" },
	{ -63, EIO, "activation record", NULL },
	{ -64, EPROTONOSUPPORT, "protocol not supported", NULL },
	{ -65, EINVAL, "MCID count exceeded",
	  "the program wants more multicast ids than there are" },
	{ -66, EOPNOTSUPP, "datapath switching not enabled", NULL },
	{ -100, EIO, "NSP sync", NULL },
	{ -101, EIO, "NSP mmap", NULL },
	{ -102, ENOEXEC, "exec context version mismatch",
	  "the program is not for this card: the firmware has another exec-context version" },
	{ -103, EIO, "process-domain signal wait", NULL },
	{ -104, EIO, "message queue send", NULL },
	{ -105, EIO, "MMC address map", NULL },
	{ -106, EIO, "network map", NULL },
	{ -107, EIO, "pre-activate response", NULL },
	{ -108, EIO, "bandwidth monitor map", NULL },
	{ -109, EIO, "multicast set", NULL },
	{ -110, EIO, "multicast range change", NULL },
	{ -111, EIO, "master waits for slave: failed", NULL },
	{ -112, EIO, "master waits for slave: timeout", NULL },
	{ -113, EIO, "deactivate queue", NULL },
	{ -114, EIO, "deactivate ack", NULL },
	{ -115, EIO, "MMC map at deactivation", NULL },
	{ -116, ENOENT, "no network to deactivate", NULL },
	{ -117, EIO, "GSM map", NULL },
	{ -118, EIO, "L2 init map", NULL },
};

static const struct status_row *find_status(int32_t status)
{
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (statuses[i].status == status)
			return &statuses[i];
	return NULL;
}

const char *qeff_nnc_status_name(int32_t status)
{
	const struct status_row *row = find_status(status);

	return row ? row->name : "unknown status";
}

int qeff_nnc_status_error(int32_t status, const char *what, struct qeff_error *err)
{
	const struct status_row *row = find_status(status);

	if (!status)
		return 0;
	if (!row)
		return qeff_error_set(err, -EIO, "%s: the card answers with unknown status %d",
				      what, status);
	if (!row->sentence)
		return qeff_error_set(err, -row->error, "%s: the card answers with status %d (%s)",
				      what, status, row->name);
	return qeff_error_set(err, -row->error, "%s: %s (status %d, %s)", what, row->sentence,
			      status, row->name);
}

const char *qeff_nnc_command_name(uint32_t type)
{
	static const char *const names[] = {
		[QEFF_NNC_LOAD_CONSTANTS] = "LOAD_CONSTANTS",
		[QEFF_NNC_LOAD_CONSTANTS_RESP] = "LOAD_CONSTANTS response",
		[QEFF_NNC_LOAD_ELF] = "LOAD_ELF",
		[QEFF_NNC_LOAD_ELF_RESP] = "LOAD_ELF response",
		[QEFF_NNC_UNLOAD_CONSTANTS] = "UNLOAD_CONSTANTS",
		[QEFF_NNC_UNLOAD_CONSTANTS_RESP] = "UNLOAD_CONSTANTS response",
		[QEFF_NNC_UNLOAD_ELF] = "UNLOAD_ELF",
		[QEFF_NNC_UNLOAD_ELF_RESP] = "UNLOAD_ELF response",
		[QEFF_NNC_ACTIVATE] = "ACTIVATE",
		[QEFF_NNC_ACTIVATE_RESP] = "ACTIVATE response",
		[QEFF_NNC_DEACTIVATE] = "DEACTIVATE",
		[QEFF_NNC_DEACTIVATE_RESP] = "DEACTIVATE response",
		[QEFF_NNC_STATUS] = "STATUS",
		[QEFF_NNC_STATUS_RESP] = "STATUS response",
		[QEFF_NNC_LOAD_CONSTANTS_EX] = "LOAD_CONSTANTS_EX",
		[QEFF_NNC_LOAD_CONSTANTS_PAYLOAD] = "LOAD_CONSTANTS_PAYLOAD",
		[QEFF_NNC_TERMINATE] = "TERMINATE",
		[QEFF_NNC_TERMINATE_RESP] = "TERMINATE response",
		[QEFF_NNC_RESERVE_VC] = "RESERVE_VC",
		[QEFF_NNC_RESERVE_VC_RESP] = "RESERVE_VC response",
		[QEFF_NNC_RELEASE_VC] = "RELEASE_VC",
		[QEFF_NNC_AC_RESERVATION] = "AC_RESERVATION",
		[QEFF_NNC_AC_RELEASE] = "AC_RELEASE",
		[QEFF_NNC_CREATE_RESOURCE_GROUP] = "CREATE_RESOURCE_GROUP",
		[QEFF_NNC_RELEASE_RESOURCE_GROUP] = "RELEASE_RESOURCE_GROUP",
		[QEFF_NNC_RESOURCE_INFO] = "RESOURCE_INFO",
		[QEFF_NNC_RESOURCE_INFO_RESP] = "RESOURCE_INFO response",
		[QEFF_NNC_PERFORMANCE_INFO] = "PERFORMANCE_INFO",
		[QEFF_NNC_PERFORMANCE_INFO_RESP] = "PERFORMANCE_INFO response",
		[QEFF_NNC_ACTIVATE_STATE_CMD] = "ACTIVATE_STATE_CMD",
		[QEFF_NNC_DEVICE_CONFIG] = "DEVICE_CONFIG",
		[QEFF_NNC_UPDATE_AC_RESERVATION] = "UPDATE_AC_RESERVATION",
	};

	if (type >= sizeof(names) / sizeof(names[0]) || !names[type])
		return "unknown command";
	return names[type];
}

void qeff_nnc_text(char *text, const char *field, size_t field_bytes)
{
	size_t i;

	for (i = 0; i < field_bytes && field[i]; i++)
		text[i] = field[i] >= 0x20 && field[i] < 0x7f ? field[i] : '?';
	text[i] = 0;
}
