/* SPDX-License-Identifier: MIT */
/* What qeff.ko has counted, from its netlink family: two dumps, of the card and of its channels. */
#include "util/cancel.h"
#include "util/error.h"

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <qeff/monitor.h>
#include <qeff_netlink.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

/* The driver answers at once; whoever else may hold the kernel's lock on families is not waited for
 * longer than this. */
#define ANSWER_MS 500

/* A dump under way: the card it is for, and what is filled. */
struct dump {
	const char *pci_address;
	struct qeff_counters *counters;
	bool found;
};

static struct nla_policy device_policy[QEFF_A_DEVICE_MAX + 1] = {
	[QEFF_A_DEVICE_PCI] = { .type = NLA_STRING, .minlen = 1 },
	[QEFF_A_DEVICE_SERIAL] = { .type = NLA_U32 },
	[QEFF_A_DEVICE_RESETS] = { .type = NLA_U32 },
	[QEFF_A_DEVICE_CE] = { .type = NLA_U32 },
	[QEFF_A_DEVICE_UE] = { .type = NLA_U32 },
	[QEFF_A_DEVICE_UE_NONFATAL] = { .type = NLA_U32 },
};

static struct nla_policy dbc_policy[QEFF_A_DBC_MAX + 1] = {
	[QEFF_A_DBC_DEVICE] = { .type = NLA_STRING, .minlen = 1 },
	[QEFF_A_DBC_ID] = { .type = NLA_U32 },
	[QEFF_A_DBC_STATE] = { .type = NLA_U32 },
	[QEFF_A_DBC_ELEMENTS] = { .type = NLA_U32 },
	[QEFF_A_DBC_QUEUED] = { .type = NLA_U32 },
	[QEFF_A_DBC_QUEUE_HIGH] = { .type = NLA_U32 },
	[QEFF_A_DBC_SUBMITTED] = { .type = NLA_U64 },
	[QEFF_A_DBC_COMPLETED] = { .type = NLA_U64 },
	[QEFF_A_DBC_FAILED] = { .type = NLA_U64 },
	[QEFF_A_DBC_BYTES_TO_DEVICE] = { .type = NLA_U64 },
	[QEFF_A_DBC_BYTES_FROM_DEVICE] = { .type = NLA_U64 },
	[QEFF_A_DBC_INTERRUPTS] = { .type = NLA_U64 },
};

static uint32_t u32_of(const struct nlattr *attribute)
{
	return attribute ? nla_get_u32(attribute) : 0;
}

static uint64_t u64_of(const struct nlattr *attribute)
{
	return attribute ? nla_get_u64(attribute) : 0;
}

static bool is_for(const struct dump *dump, const struct nlattr *address)
{
	return address && strcmp(nla_get_string(address), dump->pci_address) == 0;
}

static int take_device(struct nl_msg *message, void *user)
{
	struct dump *dump = user;
	struct nlattr *a[QEFF_A_DEVICE_MAX + 1];

	if (genlmsg_parse(nlmsg_hdr(message), 0, a, QEFF_A_DEVICE_MAX, device_policy) < 0 ||
	    !is_for(dump, a[QEFF_A_DEVICE_PCI]))
		return NL_OK;
	dump->found = true;
	dump->counters->serial = u32_of(a[QEFF_A_DEVICE_SERIAL]);
	dump->counters->resets = u32_of(a[QEFF_A_DEVICE_RESETS]);
	dump->counters->errors_corrected = u32_of(a[QEFF_A_DEVICE_CE]);
	dump->counters->errors_fatal = u32_of(a[QEFF_A_DEVICE_UE]);
	dump->counters->errors_uncorrected = u32_of(a[QEFF_A_DEVICE_UE_NONFATAL]);
	return NL_OK;
}

static int take_channel(struct nl_msg *message, void *user)
{
	struct dump *dump = user;
	struct nlattr *a[QEFF_A_DBC_MAX + 1];

	if (genlmsg_parse(nlmsg_hdr(message), 0, a, QEFF_A_DBC_MAX, dbc_policy) < 0 ||
	    !is_for(dump, a[QEFF_A_DBC_DEVICE]) || !a[QEFF_A_DBC_ID] ||
	    u32_of(a[QEFF_A_DBC_ID]) >= QEFF_CHANNELS)
		return NL_OK;
	dump->counters->channels[u32_of(a[QEFF_A_DBC_ID])] = (struct qeff_channel_counters){
		.state = u32_of(a[QEFF_A_DBC_STATE]),
		.elements = u32_of(a[QEFF_A_DBC_ELEMENTS]),
		.queued = u32_of(a[QEFF_A_DBC_QUEUED]),
		.queue_high = u32_of(a[QEFF_A_DBC_QUEUE_HIGH]),
		.submitted = u64_of(a[QEFF_A_DBC_SUBMITTED]),
		.completed = u64_of(a[QEFF_A_DBC_COMPLETED]),
		.failed = u64_of(a[QEFF_A_DBC_FAILED]),
		.bytes_to_device = u64_of(a[QEFF_A_DBC_BYTES_TO_DEVICE]),
		.bytes_from_device = u64_of(a[QEFF_A_DBC_BYTES_FROM_DEVICE]),
		.interrupts = u64_of(a[QEFF_A_DBC_INTERRUPTS]),
	};
	return NL_OK;
}

/* One dump, to its end. A libnl error. */
static int run_dump(struct nl_sock *socket, int family, uint8_t command, int address_attribute,
		    nl_recvmsg_msg_cb_t take, struct dump *dump)
{
	struct nl_msg *message = nlmsg_alloc();
	int ret = -NLE_NOMEM;

	if (message && genlmsg_put(message, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, NLM_F_DUMP,
				   command, QEFF_NETLINK_VERSION))
		ret = address_attribute
			      ? nla_put_string(message, address_attribute, dump->pci_address)
			      : 0;
	if (!ret)
		ret = nl_send_auto(socket, message);
	nlmsg_free(message);
	if (ret < 0)
		return ret;
	nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, take, dump);
	return nl_recvmsgs_default(socket);
}

static int read_all(struct nl_sock *socket, struct dump *dump)
{
	const struct timeval limit = { .tv_usec = ANSWER_MS * 1000 };
	int family, ret = genl_connect(socket);

	if (ret < 0)
		return ret;
	setsockopt(nl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	family = genl_ctrl_resolve(socket, QEFF_NETLINK_NAME);
	if (family < 0)
		return family;
	ret = run_dump(socket, family, QEFF_CMD_DEVICE_GET, 0, take_device, dump);
	if (ret < 0 || !dump->found)
		return ret;
	return run_dump(socket, family, QEFF_CMD_DBC_GET, QEFF_A_DBC_DEVICE, take_channel, dump);
}

int qeff_counters_read(const struct qeff_device_info *info, struct qeff_counters *counters,
		       struct qeff_error *err)
{
	struct dump dump = { .pci_address = info->pci_address, .counters = counters };
	struct nl_sock *socket;
	QEFF_NO_CANCEL;
	int ret;

	*counters = (struct qeff_counters){ 0 };
	if (strcmp(info->driver, "qeff") != 0)
		return qeff_error_set(err, -EOPNOTSUPP, "%s: only qeff.ko tells what it counts",
				      info->name);
	socket = nl_socket_alloc();
	if (!socket)
		return qeff_error_set(err, -ENOMEM, "%s: no room for a socket", info->name);
	ret = read_all(socket, &dump);
	nl_socket_free(socket);
	if (ret == -NLE_AGAIN)
		return qeff_error_set(err, -ETIMEDOUT,
				      "%s: the driver does not tell what it counted", info->name);
	if (ret == -NLE_OBJ_NOTFOUND || (ret >= 0 && !dump.found))
		return qeff_error_set(err, -ENODEV, "%s: driver qeff does not have it any more",
				      info->name);
	if (ret < 0)
		return qeff_error_set(err, -EIO, "%s: what the driver counted: %s", info->name,
				      nl_geterror(ret));
	return 0;
}
