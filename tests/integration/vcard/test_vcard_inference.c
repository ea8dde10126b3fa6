/* SPDX-License-Identifier: MIT */
/*
 * A real package on the virtual card, as a driver in a guest would run it: the outputs are those of
 * the card in the process, bit for bit, however the guest's memory lies.
 */
#include "guest_driver.h"

#include "util/bytes.h"

#include <qeff/session.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROMPT		20
#define SPECIALISATIONS 2 /* a prompt, and a token alone: shorter transfers */

static const char *package;
static struct qeff_qpc *qpc;
static char trace_path[128];
static char trace[16384]; /* of the card in the process */
static uint8_t *expected[SPECIALISATIONS];
static size_t expected_bytes; /* of one token, in both */

/* The same in both: a few tokens, their positions, and the rest dead. */
static void fill(const char *name, enum qeff_type type, void *data, size_t size_bytes)
{
	uint32_t element = qeff_type_size_bytes(type);

	memset(data, 0, size_bytes);
	for (size_t i = 0; i < size_bytes / element; i++) {
		int64_t value = 0;

		if (!strcmp(name, "input_ids"))
			value = i < PROMPT ? (int64_t)(3 + i * 91 % 2000) : 0;
		else if (!strcmp(name, "position_ids"))
			value = i < PROMPT ? (int64_t)i : -1;
		memcpy((uint8_t *)data + i * element, &value, element);
	}
}

static int find_logits(const struct qeff_network *n)
{
	for (uint32_t i = n->num_inputs; i < qeff_network_num_bindings(n); i++)
		if (!strcmp(n->bindings[i].name, "logits"))
			return (int)i;
	return -1;
}

/* What both do: load, activate, run, give back. Tools ask for more, and drivers begin with more. */
static void read_trace(const char *from, char *text, size_t room)
{
	FILE *f = fopen(from, "r");
	size_t used = 0;
	char line[512];

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	while (fgets(line, sizeof(line), f)) {
		if (line[0] != '*' && !strstr(line, "LOAD_") && !strstr(line, "ACTIVATE"))
			continue;
		CU_ASSERT_FATAL(used + strlen(line) < room);
		strcpy(text + used, line);
		used += strlen(line);
	}
	fclose(f);
}

static void run_specialisation(struct qeff_session *session, uint32_t s)
{
	const struct qeff_network *n = qeff_session_network(session);
	struct qeff_error err = { 0 };
	struct qeff_tensor tensor;

	for (uint32_t i = 0; i < n->num_inputs; i++) {
		const struct qeff_binding *b = &n->bindings[i];
		const struct qeff_shape *shape = qeff_network_shape(n, s, i);

		if (b->is_retained || !strcmp(b->name, QEFF_CONTROL_BINDING))
			continue;
		CU_ASSERT_EQUAL_FATAL(qeff_session_input(session, b->name, shape->dims,
							 shape->num_dims, &tensor, &err),
				      0);
		fill(b->name, tensor.type, tensor.data, tensor.size_bytes);
	}
	CU_ASSERT_EQUAL_FATAL(qeff_session_run(session, &err), 0);
	CU_ASSERT_EQUAL(qeff_session_specialisation(session), s);
	CU_ASSERT_EQUAL_FATAL(qeff_session_output(session, "logits", &tensor, &err), 0);
	expected_bytes = tensor.size_bytes;
	expected[s] = malloc(expected_bytes);
	CU_ASSERT_PTR_NOT_NULL_FATAL(expected[s]);
	memcpy(expected[s], tensor.data, expected_bytes);
}

static void in_process(void)
{
	struct qeff_error err = { 0 };
	struct qeff_device *device;
	struct qeff_session *session;

	setenv("QEFF_SOFTCARDS", "nsps=16,ddr=1G", 1);
	setenv("QEFF_TRACE", trace_path, 1);
	CU_ASSERT_EQUAL_FATAL(qeff_device_open("soft", &device, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_session_open(device, package, NULL, &session, &err), 0);
	for (uint32_t s = 0; s < SPECIALISATIONS; s++)
		run_specialisation(session, s);
	qeff_session_close(session);
	qeff_device_close(device);
	read_trace(trace_path, trace, sizeof(trace));
}

static void fill_inputs(struct guest_driver *d, struct guest_program *p)
{
	const struct qeff_network *n = p->program.network;

	for (uint32_t i = 0; i < n->num_inputs; i++) {
		uint8_t *data = driver_binding(d, p, i);

		if (data && (int)i != p->program.control)
			fill(n->bindings[i].name, n->bindings[i].shape.type, data,
			     qeff_network_shape(n, p->specialisation, i)->size_bytes);
	}
}

static bool right_logits(struct guest_driver *d, struct guest_program *p)
{
	int logits = find_logits(p->program.network);

	CU_ASSERT_FATAL(logits >= 0 && expected_bytes > 0);
	return !memcmp(driver_binding(d, p, (uint32_t)logits), expected[p->specialisation],
		       expected_bytes);
}

struct rig {
	struct server s;
	struct client c;
	struct mhi_host h;
	struct guest_driver d;
	struct guest_program p;
};

static void rig_open(struct rig *r, const char *faults, bool scattered, unsigned int messages)
{
	server_start(&r->s, faults, "none");
	client_open(&r->c, &r->s);
	client_map_ram(&r->c, scattered);
	host_open(&r->h, &r->c, messages);
	CU_ASSERT_FATAL(host_boot(&r->h) || r->h.environment == EE_AMSS);
	CU_ASSERT_FATAL(host_open_control(&r->h));
	driver_open(&r->d, &r->h);
}

static void rig_load(struct rig *r)
{
	CU_ASSERT_FATAL(driver_load(&r->d, &r->p, qpc));
	fill_inputs(&r->d, &r->p);
}

static void rig_close(struct rig *r)
{
	client_close(&r->c);
	server_stop(&r->s);
}

static void run_twice(bool scattered, unsigned int messages, size_t segment, size_t message)
{
	static struct rig r;

	rig_open(&r, NULL, scattered, messages);
	r.d.segment_bytes = segment;
	r.d.message_bytes = message;
	rig_load(&r);
	for (int i = 0; i < 2; i++) {
		unsigned int answers = driver_execute(&r.d, &r.p);

		CU_ASSERT_EQUAL(driver_wait(&r.d, answers), 0);
		CU_ASSERT_TRUE(right_logits(&r.d, &r.p));
		memset(driver_binding(&r.d, &r.p, (uint32_t)find_logits(r.p.program.network)), 0xee,
		       expected_bytes);
	}
	if (message < 65536 - 1024)
		CU_ASSERT(r.d.parts > 3);
	CU_ASSERT_TRUE(driver_unload(&r.d, &r.p));
	rig_close(&r);
}

static void plain(void)
{
	run_twice(false, 32, 1u << 20, 65536 - 1024);
}

static void single_message(void)
{
	run_twice(false, 1, 1u << 20, 65536 - 1024);
}

/* Page by page, with transfers in many parts. */
static void small_pieces(void)
{
	run_twice(false, 32, 4096, 4096);
}

/* Behind an IOMMU: contiguous addresses, pages from everywhere. */
static void scattered_memory(void)
{
	run_twice(true, 32, 1u << 20, 65536 - 1024);
}

/* --- faults --- */

static void failed_transfer(void)
{
	static struct rig r;
	unsigned int answers;

	rig_open(&r, "fail@transfer#1", false, 32);
	rig_load(&r);
	answers = driver_execute(&r.d, &r.p);
	CU_ASSERT(driver_wait(&r.d, answers) > 0);
	/* and no more than that one */
	answers = driver_execute(&r.d, &r.p);
	CU_ASSERT_EQUAL(driver_wait(&r.d, answers), 0);
	CU_ASSERT_TRUE(right_logits(&r.d, &r.p));
	driver_unload(&r.d, &r.p);
	rig_close(&r);
}

static void stalled_bridge(void)
{
	static struct rig r;
	unsigned int answers;

	rig_open(&r, "stall=100@doorbell#1", false, 32);
	rig_load(&r);
	answers = driver_execute(&r.d, &r.p);
	/* the host sees its tail, and a head that stands */
	CU_ASSERT_EQUAL(driver_register(&r.d, 4), r.d.tail);
	CU_ASSERT_EQUAL(driver_register(&r.d, 0), 0);
	CU_ASSERT_EQUAL(driver_wait(&r.d, answers), 0);
	CU_ASSERT_TRUE(right_logits(&r.d, &r.p));
	driver_unload(&r.d, &r.p);
	rig_close(&r);
}

static void lost_interrupts(void)
{
	static struct rig r;
	unsigned int answers;

	rig_open(&r, "lose@msi#1+", false, 32);
	rig_load(&r);
	answers = driver_execute(&r.d, &r.p);
	while (driver_register(&r.d, 12) != answers)
		;
	CU_ASSERT_FALSE(client_poll(&r.c, r.d.dbc + 1));
	CU_ASSERT_EQUAL(driver_wait(&r.d, answers), 0);
	CU_ASSERT_TRUE(right_logits(&r.d, &r.p));
	driver_unload(&r.d, &r.p);
	rig_close(&r);
}

/* The four events, each acknowledged; the channel is dead, and can be had again. */
static void crashed_nsp(void)
{
	uint8_t response[16];
	static struct rig r;
	uint64_t at;

	rig_open(&r, "crash-nsp@doorbell#1", false, 32);
	CU_ASSERT_FATAL(host_start(&r.h, 6, CHANNEL_ELEMENTS, 0));
	CU_ASSERT_FATAL(host_start(&r.h, 7, CHANNEL_ELEMENTS, 4));
	rig_load(&r);
	at = guest_alloc(&r.c, 16, 16);
	driver_doorbell(&r.d);
	for (uint32_t event = 2; event <= 16; event <<= 1) {
		CU_ASSERT_FATAL(host_receive(&r.h, 7));
		CU_ASSERT_EQUAL(r.h.received_bytes, 16);
		CU_ASSERT_EQUAL(qeff_get_u32(r.h.received), 0x100);
		CU_ASSERT_EQUAL(qeff_get_u32(r.h.received + 8), r.d.dbc);
		CU_ASSERT_EQUAL(qeff_get_u32(r.h.received + 12), event);
		memcpy(response, r.h.received, 16);
		qeff_put_u32(response, 0x200);
		memcpy(guest(&r.c, at), response, 16);
		CU_ASSERT_TRUE_FATAL(host_send(&r.h, 6, at, 16, 16));
	}
	/* registers of a channel that is not in use are 0, and its rings are not touched */
	CU_ASSERT_EQUAL(driver_register(&r.d, 4), 0);
	qeff_activation_free_slices(&r.p.activation);
	rig_load(&r);
	CU_ASSERT_EQUAL(driver_wait(&r.d, driver_execute(&r.d, &r.p)), 0);
	CU_ASSERT_TRUE(right_logits(&r.d, &r.p));
	driver_unload(&r.d, &r.p);
	rig_close(&r);
}

/* Memory taken away under the card: it goes on with nothing, and the guest's bytes stay. */
static void unmapped_rings(void)
{
	static struct rig r;
	uint8_t before[4096];
	uint64_t page;

	rig_open(&r, NULL, true, 32);
	rig_load(&r);
	page = r.d.response_ring & ~4095ull;
	memset(guest(&r.c, page), 0x5a, 64);
	memcpy(before, guest(&r.c, page), 4096);
	CU_ASSERT_EQUAL(client_unmap(&r.c, page, 4096), 0);
	driver_execute(&r.d, &r.p);
	while (driver_register(&r.d, 0) != r.d.tail)
		;
	CU_ASSERT(!memcmp(guest(&r.c, page), before, 4096));
	CU_ASSERT_TRUE(driver_unload(&r.d, &r.p));
	rig_close(&r);
}

/* What the card saw is the same line by line, in the process and on the bus, whether pages are
 * small or large. */
static void equal_traces(void)
{
	static char text[sizeof(trace)];
	static struct rig r;

	for (int i = 0; i < 2; i++) {
		rig_open(&r, NULL, false, 32);
		r.d.segment_bytes = i ? 4096 : 1u << 20;
		r.d.message_bytes = i ? 4096 : 65536 - 1024;
		rig_load(&r);
		for (uint32_t s = 0; s < SPECIALISATIONS; s++) {
			driver_select(&r.d, &r.p, s);
			fill_inputs(&r.d, &r.p);
			CU_ASSERT_EQUAL(driver_wait(&r.d, driver_execute(&r.d, &r.p)), 0);
			CU_ASSERT_TRUE(right_logits(&r.d, &r.p));
		}
		CU_ASSERT_TRUE(driver_unload(&r.d, &r.p));
		read_trace(r.s.trace, text, sizeof(text));
		CU_ASSERT_STRING_EQUAL(text, trace);
		if (strcmp(text, trace))
			fprintf(stderr, "on the bus:\n%sin the process:\n%s", text, trace);
		rig_close(&r);
	}
	CU_ASSERT_PTR_NOT_NULL(strstr(trace, "LOAD_ELF \""));
	/* 32 tokens and their positions, then one and its own where the position of the last ends
	 */
	CU_ASSERT_PTR_NOT_NULL(strstr(trace, "* channel0 in 576 "));
	CU_ASSERT_PTR_NOT_NULL(strstr(trace, "* channel0 in 328 "));
	CU_ASSERT_PTR_NOT_NULL(strstr(trace, "* channel0 out 8512 "));
}

static const struct unit_test tests[] = {
	{ "in the process", in_process },
	{ "in a guest", plain },
	{ "one interrupt for all", single_message },
	{ "page by page, in many messages", small_pieces },
	{ "behind an IOMMU", scattered_memory },
	{ "equal traces", equal_traces },
	{ "a transfer fails", failed_transfer },
	{ "the bridge stalls", stalled_bridge },
	{ "interrupts are lost", lost_interrupts },
	{ "an NSP crashes", crashed_nsp },
	{ "rings are unmapped", unmapped_rings },
};

int main(int argc, char **argv)
{
	char path[] = "/tmp/qeff-vcard-qpc-XXXXXX", command[1024];
	struct qeff_error err = { 0 };
	int ret;

	if (argc < 3 || !mkdtemp(path))
		return 1;
	snprintf(command, sizeof(command),
		 "%s %s/tiny-llama-stories -o %s/llama.qpc --num-cores 4 --prefill-seq-len 32 "
		 "--ctx-len 64 >%s/log 2>&1",
		 argv[1], argv[2], path, path);
	if (system(command))
		return 1;
	snprintf(command, sizeof(command), "%s/llama.qpc", path);
	package = command;
	snprintf(trace_path, sizeof(trace_path), "%s/trace", path);
	if (qeff_qpc_open(package, &qpc, &err))
		return 1;
	ret = unit_main("vcard-inference", tests, sizeof(tests) / sizeof(tests[0]));
	qeff_qpc_close(qpc);
	free(expected[0]);
	free(expected[1]);
	unlink(package);
	unlink(trace_path);
	snprintf(command, sizeof(command), "%s/log", path);
	unlink(command);
	rmdir(path);
	return ret;
}
