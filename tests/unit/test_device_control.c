/* SPDX-License-Identifier: MIT */
/*
 * The control channel of the softcard transport against a scripted card: the bytes of its messages,
 * what becomes of replies, and what the card may reach meanwhile.
 */
#include "unit.h"

#include "device/softcard.h"
#include "scripted_card.h"

#include <sys/mman.h>

static const struct qeff_card_config config = { .nsps = 1, .ddr_bytes = 1 << 20 };

static struct qeff_transport *open_card(void)
{
	struct qeff_transport *t = NULL;
	struct qeff_error err = { 0 };

	script_reset();
	CU_ASSERT_EQUAL_FATAL(qeff_softcard_open(7, &config, &t, &err), 0);
	return t;
}

/* One transaction of 4-byte words behind its header. */
static uint32_t put_words(uint8_t *at, uint32_t type, const uint32_t *words, uint32_t count)
{
	put32(at, type);
	put32(at + 4, 8 + 4 * count);
	for (uint32_t i = 0; i < count; i++)
		put32(at + 8 + 4 * i, words[i]);
	return 8 + 4 * count;
}

#define WORDS(at, type, ...)                                                                       \
	put_words(at, type, (const uint32_t[]){ __VA_ARGS__ },                                     \
		  sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4)

static int manage(struct qeff_transport *t, uint8_t *data, uint32_t *size, uint32_t *count)
{
	return t->ops->manage(t, data, size, count, NULL);
}

static uint32_t put_transfer(uint8_t *at, uint32_t tag, const void *data, uint64_t size)
{
	uint64_t address = (uintptr_t)data;

	return WORDS(at, 5, tag, 1, (uint32_t)address, (uint32_t)(address >> 32), (uint32_t)size,
		     (uint32_t)(size >> 32));
}

static bool reaches(const void *data, uint64_t size, bool writes)
{
	const struct qeff_card_host *host = &script.card->host;

	return host->translate(host->user, (uintptr_t)data, size, writes) != NULL;
}

static void link_up_is_the_drivers_own_status(void)
{
	/* STATUS, from handle 0, for no partition; its CRC by hand: see expect_crc below */
	static const uint8_t expected[40] = {
		0, 0, 0, 0, 'Q',  'A',	'I',  'C',  1, 0, 0, 0, 40, 0, 0, 0, 1, 0, 0, 0,
		0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 15, 0, 0, 0, 8, 0, 0, 0,
	};
	struct qeff_transport *t = open_card();
	uint32_t crc = 0xffffffff;

	CU_ASSERT_EQUAL(script.messages, 1);
	CU_ASSERT_EQUAL(script.message_bytes, 40);
	CU_ASSERT_EQUAL(memcmp(script.message + 4, expected + 4, 36), 0);
	for (size_t i = 0; i < sizeof(expected); i++) {
		crc ^= expected[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	CU_ASSERT_EQUAL(le32(script.message), crc ^ 0xffffffff);
	t->ops->close(t);
	CU_ASSERT_PTR_NULL(script.card);
}

static void other_protocols_are_refused(void)
{
	static const uint32_t versions[] = { 4, 6, 5 | 1 << 16 };
	struct qeff_error err = { 0 };
	struct qeff_transport *t;

	for (size_t i = 0; i < 3; i++) {
		script_reset();
		script.status_version = versions[i];
		CU_ASSERT_EQUAL(qeff_softcard_open(7, &config, &t, &err), -EPROTO);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "expected 5.0"));
		CU_ASSERT_PTR_NULL(script.card);
	}
}

static void users_are_numbered_over_all_cards(void)
{
	struct qeff_transport *first, *second, *third;
	uint8_t data[4096];
	uint32_t size, count = 1;

	first = open_card();
	CU_ASSERT_EQUAL_FATAL(qeff_softcard_open(7, &config, &second, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_softcard_open(8, &config, &third, NULL), 0);
	size = put_words(data, 12, NULL, 0);
	CU_ASSERT_EQUAL(manage(third, data, &size, &count), 0);
	CU_ASSERT_EQUAL(le32(script.message + 20), 2);
	CU_ASSERT_EQUAL(size, 24);
	CU_ASSERT_EQUAL(count, 1);
	CU_ASSERT_EQUAL(le32(data), 14); /* the wire's type stays */
	CU_ASSERT_EQUAL(le32(data + 8), 5);
	second->ops->close(second);
	CU_ASSERT_EQUAL_FATAL(qeff_softcard_open(8, &config, &second, NULL), 0);
	size = put_words(data, 12, NULL, 0);
	CU_ASSERT_EQUAL(manage(second, data, &size, &count), 0);
	CU_ASSERT_EQUAL(le32(script.message + 20), 1);
	second->ops->close(second);
	third->ops->close(third);
	first->ops->close(first);
}

static void leaving_terminates(void)
{
	struct qeff_transport *t = open_card();
	const uint8_t *m = script.message;

	t->ops->close(t);
	CU_ASSERT_EQUAL(script.message_bytes, 48);
	CU_ASSERT_EQUAL(le32(m + 16), 1);
	CU_ASSERT_EQUAL(le32(m + 24), 0); /* of no partition in particular */
	CU_ASSERT_EQUAL(le32(m + 32), 17);
	CU_ASSERT_EQUAL(le32(m + 36), 16);
	CU_ASSERT_EQUAL(le32(m + 40), 0);
}

static void malformed_requests_go_nowhere(void)
{
	struct qeff_transport *t = open_card();
	uint8_t data[4104] = { 0 }, *hole;
	uint32_t size, count;
	static const struct {
		uint32_t size, count, type, length;
	} bad[] = {
		{ 16, 0, 12, 8 }, { 0, 1, 12, 8 },	    { 4, 1, 12, 8 },	  { 8, 2, 12, 8 },
		{ 8, 1, 12, 4 },  { 8, 1, 12, 16 },	    { 16, 1, 12, 8 },	  { 8, 1, 0, 8 },
		{ 8, 1, 9, 8 },	  { 8, 1, 21, 8 },	    { 4104, 1, 1, 4104 }, { 8, 513, 12, 8 },
		{ 12, 1, 1, 12 }, { 8, 1, 12, UINT32_MAX }, { 24, 1, 5, 24 },	  { 16, 1, 7, 16 },
		{ 8, 1, 10, 8 },  { UINT32_MAX, 1, 12, 8 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put32(data, bad[i].type);
		put32(data + 4, bad[i].length);
		size = bad[i].size;
		count = bad[i].count;
		CU_ASSERT_EQUAL(manage(t, data, &size, &count), -EINVAL);
	}
	/* a transfer of nothing, and one past the end of the address space */
	size = put_transfer(data, 100, data, 0);
	count = 1;
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), -EINVAL);
	size = put_transfer(data, 100, (void *)(UINTPTR_MAX - 4), 16);
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), -EINVAL);
	/* memory that is not there, or ends too early */
	hole = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(hole + 4096, 4096);
	size = put_transfer(data, 100, hole + 1, 4096);
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), -EFAULT);
	munmap(hole, 4096);
	size = put_transfer(data, 100, hole, 1);
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), -EFAULT);
	/* a queue of nothing; pads */
	size = WORDS(data, 7, 0, 0, 0, 0);
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), -EINVAL);
	size = WORDS(data, 7, 4, 0, 0, 1);
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), -EINVAL);
	/* channels that are not there, or not ours */
	size = WORDS(data, 10, 16, 0);
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), -EINVAL);
	size = WORDS(data, 10, 3, 0);
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), -EPERM);
	CU_ASSERT_EQUAL(script.messages, 1); /* the link's own */
	t->ops->close(t);
}

static void a_transfer_is_reachable_for_the_call_alone(void)
{
	struct qeff_transport *t = open_card();
	uint8_t *payload = malloc(10000), data[4096];
	uint32_t size, count = 2;
	const uint8_t *m = script.message;
	uint64_t sum = 0;

	for (int i = 0; i < 10000; i++)
		sum += payload[i] = (uint8_t)(i * 7);
	size = WORDS(data, 1, 3, 0, 10000, 0);
	size += put_transfer(data + size, 100, payload, 10000);
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), 0);
	CU_ASSERT_EQUAL(script.transfer_bytes, 10000);
	CU_ASSERT_EQUAL(script.transfer_sum, sum);
	/* header, passthrough of 24, then the transfer in one segment */
	CU_ASSERT_EQUAL(script.message_bytes, 32 + 24 + 24 + 16);
	CU_ASSERT_EQUAL(le32(m), 0); /* no CRC once the card has declined it */
	CU_ASSERT_EQUAL(le32(m + 16), 2);
	CU_ASSERT_EQUAL(le32(m + 32), 4);
	CU_ASSERT_EQUAL(le32(m + 56), 6);
	CU_ASSERT_EQUAL(le32(m + 60), 40);
	CU_ASSERT_EQUAL(le32(m + 64), 100);
	CU_ASSERT_EQUAL(le32(m + 68), 1);
	CU_ASSERT_EQUAL(le32(m + 72), 0);
	CU_ASSERT_EQUAL(le64(m + 80), (uintptr_t)payload);
	CU_ASSERT_EQUAL(le64(m + 88), 10000);
	CU_ASSERT_EQUAL(size, 24);
	CU_ASSERT_EQUAL(count, 1);
	CU_ASSERT_FALSE(reaches(payload, 1, false));
	t->ops->close(t);
	free(payload);
}

static void a_long_transfer_goes_in_parts(void)
{
	struct qeff_transport *t = open_card();
	const uint64_t bytes = UINT64_C(9000) * 4096 + 5;
	uint8_t *payload = calloc(1, bytes), data[4096];
	uint32_t size, count = 2;
	uint64_t sum = 0;

	/* as if each page lay somewhere else */
	soft_user_of(t)->card->segment_bytes = 4096;
	for (uint64_t i = 0; i < bytes; i += 1000)
		sum += payload[i] = (uint8_t)(i >> 9);
	size = WORDS(data, 1, 16, 0, (uint32_t)bytes, 0);
	size += put_transfer(data + size, 300, payload, bytes);
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), 0);
	CU_ASSERT_EQUAL(script.transfer_bytes, bytes);
	CU_ASSERT_EQUAL(script.transfer_sum, sum);
	CU_ASSERT_EQUAL(script.segments, 9001);
	CU_ASSERT_EQUAL(script.chunks, 3);
	CU_ASSERT_EQUAL(script.messages, 1 + 3);
	/* the last part: same tag, same number, nothing else */
	CU_ASSERT_EQUAL(le32(script.message + 16), 1);
	CU_ASSERT_EQUAL(le32(script.message + 32), 6);
	CU_ASSERT_EQUAL(le32(script.message + 40), 300);
	CU_ASSERT_NOT_EQUAL(script.first_chunk_id, 0);
	CU_ASSERT_EQUAL(le32(script.message + 48), script.first_chunk_id);
	CU_ASSERT_EQUAL(size, 16);
	CU_ASSERT_FALSE(reaches(payload, 1, false));

	/* the card acknowledges something else than it was told */
	script.transfer_bytes = 0;
	script.cont_error = 1;
	count = 2;
	size = WORDS(data, 1, 16, 0, (uint32_t)bytes, 0);
	size += put_transfer(data + size, 300, payload, bytes);
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), -EINVAL);
	CU_ASSERT_FALSE(reaches(payload, 1, false));
	t->ops->close(t);
	free(payload);
}

static void replies_are_not_believed(void)
{
	struct qeff_transport *t = open_card();
	uint8_t data[4096];
	uint32_t size, count = 1;

	script.drop_replies = 1;
	size = put_words(data, 12, NULL, 0);
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), -ETIMEDOUT);
	script.drop_replies = 0;
	script.wrong_sequence = 1;
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), -ETIMEDOUT);
	script.wrong_sequence = 0;
	script.reply_extra = 12; /* a command whose length is no multiple of 8 */
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), -EINVAL);
	script.reply_extra = 0;
	/* a channel that nobody asked for the return of */
	script.deactivate_dbc = 16;
	size = WORDS(data, 1, 11, 0);
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), -ENODEV);
	t->ops->close(t);
}

static void activate_and_deactivate(void)
{
	struct qeff_transport *t = open_card(), *other;
	uint8_t data[4096];
	uint32_t size, count = 2;
	const uint8_t *m = script.message;
	struct script_channel *c;

	CU_ASSERT_EQUAL_FATAL(qeff_softcard_open(7, &config, &other, NULL), 0);
	script.activate_dbc = 5;
	size = WORDS(data, 1, 9, 0);
	size += WORDS(data + size, 7, 100, 0, 0x10000, 0);
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), 0);
	/* 100 * (64 + 4) + 256 bytes, in whole pages: requests at the start, responses at the end
	 */
	CU_ASSERT_EQUAL(le32(m + 48), 9);
	CU_ASSERT_EQUAL(le32(m + 52), 40);
	CU_ASSERT_EQUAL(le64(m + 64) - le64(m + 56), 8192 - 400);
	CU_ASSERT_EQUAL(le32(m + 72), 100);
	CU_ASSERT_EQUAL(le32(m + 76), 100);
	CU_ASSERT_EQUAL(le32(m + 80), 8192);
	CU_ASSERT_EQUAL(le32(m + 84), 0x10000);
	CU_ASSERT_EQUAL(size, 16 + 24);
	CU_ASSERT_EQUAL(count, 2);
	CU_ASSERT_EQUAL(le32(data + 16), 8);
	CU_ASSERT_EQUAL(le32(data + 28), 5);
	c = &script.card->channels[5];
	CU_ASSERT_TRUE(reaches((void *)(uintptr_t)c->requests, 8192, true));

	/* not another's */
	count = 1;
	size = WORDS(data, 10, 5, 0);
	CU_ASSERT_EQUAL(manage(other, data, &size, &count), -EPERM);

	/* refused: still ours */
	script.deactivate_status = 0xffffffff;
	script.deactivate_dbc = 5;
	count = 2;
	size = WORDS(data, 1, 11, 0);
	size += WORDS(data + size, 10, 5, 0);
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), -ECANCELED);
	CU_ASSERT_EQUAL(size, 16);
	CU_ASSERT_TRUE(reaches((void *)(uintptr_t)c->requests, 8192, true));

	/* DEACTIVATE leaves nothing in the message, and its answer counts but adds no bytes */
	script.deactivate_status = 0;
	count = 2;
	size = WORDS(data, 1, 11, 0);
	size += WORDS(data + size, 10, 5, 0);
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), 0);
	CU_ASSERT_EQUAL(script.message_bytes, 32 + 16);
	CU_ASSERT_EQUAL(le32(m + 16), 1);
	CU_ASSERT_EQUAL(size, 16);
	CU_ASSERT_EQUAL(count, 2);
	CU_ASSERT_FALSE(reaches((void *)(uintptr_t)c->requests, 1, false));
	other->ops->close(other);
	t->ops->close(t);
}

static void a_refused_activation_leaves_nothing(void)
{
	struct qeff_transport *t = open_card();
	struct qeff_error err = { 0 };
	uint8_t data[4096];
	uint32_t size, count = 1;

	script.activate_status = (uint32_t)-13;
	size = WORDS(data, 7, 100, 0, 0, 0);
	CU_ASSERT_EQUAL(t->ops->manage(t, data, &size, &count, &err), -ECANCELED);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "-13"));
	CU_ASSERT_EQUAL(size, 24); /* the reply comes all the same */
	CU_ASSERT_EQUAL(le32(data + 8), (uint32_t)-13);
	CU_ASSERT_FALSE(reaches((void *)(uintptr_t)le64(script.message + 40), 1, false));

	script.activate_status = 0;
	script.activate_dbc = 16;
	size = WORDS(data, 7, 100, 0, 0, 0);
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), -ENODEV);
	CU_ASSERT_FALSE(reaches((void *)(uintptr_t)le64(script.message + 40), 1, false));

	/* two in one message would lose the first one's rings; more elements than 4 GiB hold */
	script.activate_dbc = 1;
	count = 2;
	size = WORDS(data, 7, 100, 0, 0, 0);
	size += WORDS(data + size, 7, 100, 0, 0, 0);
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), -EINVAL);
	count = 1;
	size = WORDS(data, 7, 0xffffffff, 0, 0, 0);
	CU_ASSERT_EQUAL(manage(t, data, &size, &count), -ENOMEM);
	t->ops->close(t);
}

static void lent_memory_can_be_adopted(void)
{
	struct qeff_transport *t = open_card();
	const struct qeff_card_host *host = &script.card->host;
	static const uint8_t constants[4096] = { 1 };
	uintptr_t at = (uintptr_t)constants;

	CU_ASSERT_PTR_NULL(host->adopt(host->user, at, 4096));
	CU_ASSERT_EQUAL(t->ops->lend(t, constants, sizeof(constants)), 0);
	CU_ASSERT_PTR_EQUAL(host->adopt(host->user, at, 4096), constants);
	CU_ASSERT_PTR_EQUAL(host->adopt(host->user, at + 4000, 96), constants + 4000);
	CU_ASSERT_PTR_NULL(host->adopt(host->user, at + 4000, 97));
	CU_ASSERT_PTR_NULL(host->adopt(host->user, at - 1, 2));
	CU_ASSERT_TRUE(reaches(constants, 4096, false));
	CU_ASSERT_FALSE(reaches(constants, 1, true)); /* never written */
	t->ops->reclaim(t, constants, sizeof(constants));
	CU_ASSERT_PTR_NULL(host->adopt(host->user, at, 4096));
	CU_ASSERT_FALSE(reaches(constants, 1, false));
	CU_ASSERT_EQUAL(t->ops->lend(t, constants, 0), -EINVAL);
	t->ops->close(t);
}

static const struct unit_test tests[] = {
	{ "link-up is the driver's own STATUS", link_up_is_the_drivers_own_status },
	{ "other protocols are refused", other_protocols_are_refused },
	{ "users are numbered over all cards", users_are_numbered_over_all_cards },
	{ "leaving terminates", leaving_terminates },
	{ "malformed requests go nowhere", malformed_requests_go_nowhere },
	{ "a transfer is reachable for the call alone",
	  a_transfer_is_reachable_for_the_call_alone },
	{ "a long transfer goes in parts", a_long_transfer_goes_in_parts },
	{ "replies are not believed", replies_are_not_believed },
	{ "activate and deactivate", activate_and_deactivate },
	{ "a refused activation leaves nothing", a_refused_activation_leaves_nothing },
	{ "lent memory can be adopted", lent_memory_can_be_adopted },
};
QEFF_UNIT_MAIN("device-control", tests)
