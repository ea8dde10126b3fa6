// SPDX-License-Identifier: GPL-2.0-only
/*
 * Telemetry: the generic netlink family of uapi/qeff_netlink.h. It says what the driver counted and
 * what the card reported, and nothing else.
 */
#include <net/genetlink.h>

#include "qeff_device.h"
#include "qeff_netlink.h"

static DEFINE_MUTEX(qeff_cards_lock);
static LIST_HEAD(qeff_cards);
static u32 qeff_next_index;

static const struct nla_policy qeff_dbc_policy[QEFF_A_DBC_MAX + 1] = {
	[QEFF_A_DBC_DEVICE] = { .type = NLA_NUL_STRING, .len = 31 },
};

static struct genl_family qeff_family;

static int qeff_fill_card(struct sk_buff *skb, struct qeff_device *qdev)
{
	u32 serial = qdev->mhi ? qdev->mhi->serial_number : 0;

	if (nla_put_string(skb, QEFF_A_DEVICE_PCI, pci_name(qdev->pdev)) ||
	    nla_put_u32(skb, QEFF_A_DEVICE_NODE, qeff_node_index(&qdev->drm)) ||
	    nla_put_u32(skb, QEFF_A_DEVICE_SERIAL, serial))
		return -EMSGSIZE;
	return 0;
}

static int qeff_dump_card(struct sk_buff *skb, struct netlink_callback *cb,
			  struct qeff_device *qdev)
{
	void *hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &qeff_family,
				NLM_F_MULTI, QEFF_CMD_DEVICE_GET);

	if (!hdr)
		return -EMSGSIZE;
	if (qeff_fill_card(skb, qdev) ||
	    nla_put_u32(skb, QEFF_A_DEVICE_STATE, READ_ONCE(qdev->state)) ||
	    nla_put_u32(skb, QEFF_A_DEVICE_RESETS, READ_ONCE(qdev->resets)) ||
	    nla_put_u32(skb, QEFF_A_DEVICE_CE, atomic_read(&qdev->ras_ce)) ||
	    nla_put_u32(skb, QEFF_A_DEVICE_UE, atomic_read(&qdev->ras_ue)) ||
	    nla_put_u32(skb, QEFF_A_DEVICE_UE_NONFATAL, atomic_read(&qdev->ras_ue_nonfatal))) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

/* args[0]: index of the next card. Cards keep their indices, so none is told twice. */
static int qeff_dump_cards(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct qeff_device *qdev;

	mutex_lock(&qeff_cards_lock);
	list_for_each_entry(qdev, &qeff_cards, node) {
		if (qdev->index < cb->args[0])
			continue;
		if (qeff_dump_card(skb, cb, qdev))
			break;
		cb->args[0] = qdev->index + 1;
	}
	mutex_unlock(&qeff_cards_lock);
	return skb->len;
}

static int qeff_put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, QEFF_A_DBC_PAD);
}

static int qeff_dump_dbc(struct sk_buff *skb, struct netlink_callback *cb, struct qeff_dbc *dbc)
{
	void *hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &qeff_family,
				NLM_F_MULTI, QEFF_CMD_DBC_GET);
	struct qeff_counters c;
	u32 elements, queued;

	if (!hdr)
		return -EMSGSIZE;
	spin_lock(&dbc->queue_lock);
	c = dbc->counters;
	elements = dbc->ring.elements;
	queued = dbc->queued;
	spin_unlock(&dbc->queue_lock);
	if (nla_put_string(skb, QEFF_A_DBC_DEVICE, pci_name(dbc->qdev->pdev)) ||
	    nla_put_u32(skb, QEFF_A_DBC_ID, dbc->id) ||
	    nla_put_u32(skb, QEFF_A_DBC_STATE, READ_ONCE(dbc->state)) ||
	    nla_put_u32(skb, QEFF_A_DBC_ELEMENTS, elements) ||
	    nla_put_u32(skb, QEFF_A_DBC_QUEUED, queued) ||
	    nla_put_u32(skb, QEFF_A_DBC_QUEUE_HIGH, c.queue_high) ||
	    qeff_put_u64(skb, QEFF_A_DBC_SUBMITTED, c.submitted) ||
	    qeff_put_u64(skb, QEFF_A_DBC_COMPLETED, c.completed) ||
	    qeff_put_u64(skb, QEFF_A_DBC_FAILED, c.failed) ||
	    qeff_put_u64(skb, QEFF_A_DBC_BYTES_TO_DEVICE, c.bytes_to_device) ||
	    qeff_put_u64(skb, QEFF_A_DBC_BYTES_FROM_DEVICE, c.bytes_from_device) ||
	    qeff_put_u64(skb, QEFF_A_DBC_INTERRUPTS, c.interrupts)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

/* args[0]: card, args[1]: channel of it that is next. */
static int qeff_dump_dbcs(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nlattr **attrs = qeff_dump_attrs(cb);
	const char *wanted =
		attrs && attrs[QEFF_A_DBC_DEVICE] ? nla_data(attrs[QEFF_A_DBC_DEVICE]) : NULL;
	struct qeff_device *qdev;

	mutex_lock(&qeff_cards_lock);
	list_for_each_entry(qdev, &qeff_cards, node) {
		if (qdev->index < cb->args[0])
			continue;
		if (qdev->index > cb->args[0])
			cb->args[1] = 0;
		cb->args[0] = qdev->index;
		if (wanted && strcmp(wanted, pci_name(qdev->pdev)))
			continue;
		for (; cb->args[1] < QEFF_DBCS; cb->args[1]++)
			if (qeff_dump_dbc(skb, cb, &qdev->dbc[cb->args[1]]))
				goto out;
	}
out:
	mutex_unlock(&qeff_cards_lock);
	return skb->len;
}

/* ---- events ---- */

static struct sk_buff *qeff_event_new(u8 command, void **hdr)
{
	struct sk_buff *skb;

	if (!genl_has_listeners(&qeff_family, &init_net, 0))
		return NULL;
	skb = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	if (!skb)
		return NULL;
	*hdr = genlmsg_put(skb, 0, 0, &qeff_family, 0, command);
	if (!*hdr) {
		nlmsg_free(skb);
		return NULL;
	}
	return skb;
}

static void qeff_event_send(struct sk_buff *skb, void *hdr, bool whole)
{
	if (!whole) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_end(skb, hdr);
	genlmsg_multicast(&qeff_family, skb, 0, 0, GFP_KERNEL);
}

void qeff_netlink_state(struct qeff_device *qdev, enum qeff_state state)
{
	void *hdr;
	struct sk_buff *skb = qeff_event_new(QEFF_CMD_STATE_NTF, &hdr);

	if (skb)
		qeff_event_send(skb, hdr,
				!qeff_fill_card(skb, qdev) &&
					!nla_put_u32(skb, QEFF_A_DEVICE_STATE, state));
}

void qeff_netlink_reset(struct qeff_device *qdev, const char *why)
{
	void *hdr;
	struct sk_buff *skb = qeff_event_new(QEFF_CMD_RESET_NTF, &hdr);

	if (skb)
		qeff_event_send(skb, hdr,
				!qeff_fill_card(skb, qdev) &&
					!nla_put_string(skb, QEFF_A_DEVICE_REASON, why));
}

void qeff_netlink_dbc(struct qeff_dbc *dbc, enum qeff_dbc_state state)
{
	void *hdr;
	struct sk_buff *skb = qeff_event_new(QEFF_CMD_DBC_NTF, &hdr);

	if (skb)
		qeff_event_send(
			skb, hdr,
			!nla_put_string(skb, QEFF_A_DBC_DEVICE, pci_name(dbc->qdev->pdev)) &&
				!nla_put_u32(skb, QEFF_A_DBC_ID, dbc->id) &&
				!nla_put_u32(skb, QEFF_A_DBC_STATE, state));
}

void qeff_netlink_ras(struct qeff_device *qdev, u32 source, u32 type, u32 count)
{
	void *hdr;
	struct sk_buff *skb = qeff_event_new(QEFF_CMD_RAS_NTF, &hdr);

	if (skb)
		qeff_event_send(skb, hdr,
				!nla_put_string(skb, QEFF_A_RAS_DEVICE, pci_name(qdev->pdev)) &&
					!nla_put_u32(skb, QEFF_A_RAS_SOURCE, source) &&
					!nla_put_u32(skb, QEFF_A_RAS_TYPE, type) &&
					!nla_put_u32(skb, QEFF_A_RAS_COUNT, count));
}

/* ---- the family ---- */

static const struct genl_ops qeff_ops[] = {
	{
		.cmd = QEFF_CMD_DEVICE_GET,
		.dumpit = qeff_dump_cards,
	},
	{
		.cmd = QEFF_CMD_DBC_GET,
		.dumpit = qeff_dump_dbcs,
		.policy = qeff_dbc_policy,
		.maxattr = QEFF_A_DBC_MAX,
	},
};

static const struct genl_multicast_group qeff_groups[] = {
	{ .name = QEFF_NETLINK_EVENTS },
};

static struct genl_family qeff_family __ro_after_init = {
	.name = QEFF_NETLINK_NAME,
	.version = QEFF_NETLINK_VERSION,
	.module = THIS_MODULE,
	.ops = qeff_ops,
	.n_ops = ARRAY_SIZE(qeff_ops),
	.mcgrps = qeff_groups,
	.n_mcgrps = ARRAY_SIZE(qeff_groups),
	.resv_start_op = QEFF_CMD_DEVICE_GET,
};

void qeff_netlink_add(struct qeff_device *qdev)
{
	mutex_lock(&qeff_cards_lock);
	qdev->index = qeff_next_index++;
	list_add_tail(&qdev->node, &qeff_cards);
	mutex_unlock(&qeff_cards_lock);
}

void qeff_netlink_del(struct qeff_device *qdev)
{
	mutex_lock(&qeff_cards_lock);
	list_del_init(&qdev->node);
	mutex_unlock(&qeff_cards_lock);
}

int __init qeff_netlink_init(void)
{
	return genl_register_family(&qeff_family);
}

void qeff_netlink_exit(void)
{
	genl_unregister_family(&qeff_family);
}
