/* SPDX-License-Identifier: MIT */
/* A small package to run on the software card, and the request elements that run it. */
#ifndef QEFF_TESTS_SOFTCARD_PACKAGE_H
#define QEFF_TESTS_SOFTCARD_PACKAGE_H

#include "test_softcard.h"

#include "nsp/program.h"
#include "qpc/image.h"
#include "qpc/metadata.h"

/* --- the package: a table of 32 rows, looked up by token id --- */

#define ENTRIES	    32u
#define WIDTH	    8u
#define SEQ	    4u
#define IN_BYTES    128u /* control 64, input_ids 32, position_ids 32 */
#define OUT_OFFSET  128u
#define OUT_BYTES   (SEQ * WIDTH * 4 + STATS_BYTES)
#define STATS_BYTES ((uint32_t)sizeof(struct qeff_nsp_stats))
#define DDR_BYTES   8192u
#define STATS	    256u

static inline float table_value(uint32_t entry, uint32_t column)
{
	return (float)entry + (float)column / 16;
}

/* The static constants: a program of 2 + @repeat phases for @nsps NSPs. Returns their size. */
static inline size_t package_constants(uint8_t *to, size_t room, uint32_t nsps, uint32_t repeat)
{
	const struct qeff_nsp_operand none = { .at = QEFF_NSP_NONE };
	uint32_t phases = 2 + repeat, tiles = 1 + nsps * (repeat + 1), t = 0;
	struct qeff_nsp_header *h = (struct qeff_nsp_header *)to;
	struct qeff_nsp_tile *tile;
	struct qeff_nsp_spec *spec;
	struct qeff_nsp_op *op;
	uint32_t *index;
	size_t at = sizeof(*h);
	float *table;

	memset(to, 0, sizeof(*h));
	*h = (struct qeff_nsp_header){
		.magic = QEFF_NSP_MAGIC,
		.version_major = QEFF_NSP_VERSION_MAJOR,
		.version_minor = QEFF_NSP_VERSION_MINOR,
		.ddr_bytes = DDR_BYTES,
		.stats = STATS,
		.state_offset = 4096,
		.arena_offset = 4096,
		.scratch_bytes = 1u << 20,
		.nsps = nsps,
		.specs = 1,
		.phases = phases,
		.ops = 3,
		.tiles = tiles,
	};
	h->specs_offset = at;
	at += sizeof(*spec);
	h->ops_offset = at;
	at += 3 * sizeof(*op);
	h->tile_index_offset = at;
	at += ((size_t)nsps * (phases + 1) * 4 + 7) & ~(size_t)7;
	h->tiles_offset = at;
	at += tiles * sizeof(*tile);
	h->instructions_offset = h->strings_offset = at;
	h->program_bytes = at;
	at = (at + 127) & ~(size_t)127;
	h->const_bytes = at + ENTRIES * WIDTH * 4;
	CU_ASSERT_FATAL(h->const_bytes <= room);
	memset(to + sizeof(*h), 0, h->const_bytes - sizeof(*h));

	table = (float *)(to + at);
	for (uint32_t e = 0; e < ENTRIES; e++)
		for (uint32_t c = 0; c < WIDTH; c++)
			table[e * WIDTH + c] = table_value(e, c);

	spec = (struct qeff_nsp_spec *)(to + h->specs_offset);
	*spec = (struct qeff_nsp_spec){
		.batch = 1, .seq = SEQ, .positions = 16, .slots = 1, .phases = phases
	};
	op = (struct qeff_nsp_op *)(to + h->ops_offset);
	for (int i = 0; i < 3; i++) {
		op[i].name = UINT32_MAX;
		op[i].rows = SEQ;
		op[i].domain = QEFF_NSP_ROWS_TOKENS;
		for (int k = 0; k < 4; k++)
			op[i].in[k] = none;
		op[i].out = none;
	}
	op[0].code = QEFF_NSP_ROWS;
	op[0].in[0] = (struct qeff_nsp_operand){
		QEFF_NSP_REF(QEFF_NSP_DDR, 96), SEQ * 8, QEFF_NSP_I64, { 0 }
	};
	op[1].code = QEFF_NSP_GATHER;
	op[1].in[0] = (struct qeff_nsp_operand){
		QEFF_NSP_REF(QEFF_NSP_DDR, 64), SEQ * 8, QEFF_NSP_I64, { 0 }
	};
	op[1].in[1] = (struct qeff_nsp_operand){
		QEFF_NSP_REF(QEFF_NSP_CONST, at), WIDTH * 4, QEFF_NSP_F32, { 0 }
	};
	op[1].out = (struct qeff_nsp_operand){
		QEFF_NSP_REF(QEFF_NSP_DDR, 4096), WIDTH * 4, QEFF_NSP_F32, { 0 }
	};
	op[1].u.gather.entries = ENTRIES;
	op[1].u.gather.width = WIDTH;
	op[1].u.gather.scale = 1;
	op[2].code = QEFF_NSP_COPY;
	op[2].in[0] = op[1].out;
	op[2].out = (struct qeff_nsp_operand){
		QEFF_NSP_REF(QEFF_NSP_DDR, OUT_OFFSET), WIDTH * 4, QEFF_NSP_F32, { 0 }
	};
	op[2].u.copy.width = WIDTH;
	op[2].u.copy.out_rows = SEQ;

	index = (uint32_t *)(to + h->tile_index_offset);
	tile = (struct qeff_nsp_tile *)(to + h->tiles_offset);
	for (uint32_t n = 0; n < nsps; n++) {
		*index++ = t;
		if (!n)
			tile[t++] = (struct qeff_nsp_tile){ .row_parts = 1, .data = QEFF_NSP_NONE };
		*index++ = t;
		for (uint32_t p = 0; p < repeat; p++) {
			tile[t++] = (struct qeff_nsp_tile){ .op = 1,
							    .begin = n * ENTRIES / nsps,
							    .end = (n + 1) * ENTRIES / nsps,
							    .row_parts = 1,
							    .data = QEFF_NSP_NONE };
			*index++ = t;
		}
		tile[t++] = (struct qeff_nsp_tile){ .op = 2,
						    .row_part = (uint16_t)n,
						    .row_parts = (uint16_t)nsps,
						    .data = QEFF_NSP_NONE };
		*index++ = t;
	}
	CU_ASSERT_EQUAL(t, tiles);
	return h->const_bytes;
}

/* What a test may spoil in the metadata. */
struct package {
	struct qeff_metadata md;
	uint32_t semaphores[2];
	uint8_t l2tcm[0x464];
	struct qeff_md_nsp_multicast entries[QEFF_MD_MAX_NSPS][2];
	struct qeff_md_nsp_multicast_table tables[QEFF_MD_MAX_NSPS];
	struct qeff_md_host_multicast windows[2];
	struct qeff_md_thread thread;
	struct qeff_md_constant_mapping mapping;
};

static inline void package_metadata(struct package *p, uint32_t nsps, uint64_t constants_bytes)
{
	memset(p, 0, sizeof(*p));
	p->semaphores[1] = nsps;
	p->l2tcm[4] = 1;
	p->windows[0] = (struct qeff_md_host_multicast){ (1u << nsps) - 1, 0x464 };
	p->windows[1] = (struct qeff_md_host_multicast){ 1, 0x1000 };
	for (uint32_t n = 0; n < nsps; n++) {
		p->entries[n][0] =
			(struct qeff_md_nsp_multicast){ 0, ((1u << nsps) - 1) & ~(1u << n), 0x464,
							QEFF_MD_NSP_L2TCM, false };
		p->entries[n][1] = (struct qeff_md_nsp_multicast){ 0, 1u & ~(1u << n), 0x1000,
								   QEFF_MD_NSP_L2TCM, false };
		p->tables[n] = (struct qeff_md_nsp_multicast_table){ 2, p->entries[n] };
	}
	p->thread = (struct qeff_md_thread){ 0, QEFF_MD_THREAD_HVX };
	p->mapping =
		(struct qeff_md_constant_mapping){ 0, (1u << nsps) - 1, (uint32_t)constants_bytes };
	p->md = (struct qeff_metadata){
		.version_major = 1,
		.network_name = "test",
		.num_nsps = nsps,
		.num_semaphores = 2,
		.semaphore_init = p->semaphores,
		.l2tcm_init_bytes = sizeof(p->l2tcm),
		.l2tcm_init = p->l2tcm,
		.num_nsp_multicast = nsps,
		.nsp_multicast = p->tables,
		.num_host_multicast = 2,
		.host_multicast = p->windows,
		.num_threads = 1,
		.threads = &p->thread,
		.num_constant_mappings = 1,
		.constant_mappings = &p->mapping,
		.static_shared_ddr_bytes = DDR_BYTES,
		.static_constants_bytes = constants_bytes,
		.exit_doorbell_offset = 0x460,
		.l2tcm_bytes = 1u << 20,
		.exec_context_major = QEFF_NSP_EXEC_CONTEXT_MAJOR,
		.hw_version_major = 2,
	};
}

/* The ELF of it in host memory at @to. Returns its size. */
static inline size_t package_elf(const struct package *p, uint8_t *to, size_t room)
{
	struct qeff_bytes metadata = { 0 }, elf = { 0 };
	struct qeff_error err = { 0 };
	size_t size;

	if (qeff_metadata_write(&p->md, &metadata, &err) ||
	    qeff_image_write(metadata.data, metadata.size_bytes, &elf, &err))
		fprintf(stderr, "%s\n", err.message);
	CU_ASSERT_FATAL(elf.size_bytes && elf.size_bytes <= room);
	memcpy(to, elf.data, elf.size_bytes);
	size = elf.size_bytes;
	qeff_bytes_free(&metadata);
	qeff_bytes_free(&elf);
	return size;
}

/* Loads constants and ELF, both from HOST_DATA on. */
static inline void package_load(struct host *h, uint32_t handle, uint32_t nsps, uint32_t repeat,
				uint32_t *constants_id, uint32_t *elf_id)
{
	size_t constants_bytes = package_constants(h->ram + HOST_DATA, 2u << 20, nsps, repeat);
	struct package p;
	size_t elf_bytes;

	CU_ASSERT_EQUAL_FATAL(constants_new(h, handle, constants_bytes, 0, constants_id), 0);
	CU_ASSERT_EQUAL_FATAL(
		constants_payload(h, handle, *constants_id, HOST_DATA, constants_bytes, 0), 0);
	package_metadata(&p, nsps, constants_bytes);
	elf_bytes = package_elf(&p, h->ram + HOST_DATA + (3u << 20), 1u << 20);
	CU_ASSERT_EQUAL_FATAL(elf_load(h, handle, HOST_DATA + (3u << 20), elf_bytes, elf_id), 0);
}

/* --- request elements --- */

#define CMD_FORCE_MSI  0x80
#define CMD_COMPLETION 0x10
#define CMD_BULK       0x08
#define CMD_IN	       0x01
#define CMD_OUT	       0x02

#define SEM(op, index, value)	  (1u << 31 | (uint32_t)(op) << 24 | (uint32_t)(index) << 16 | (value))
#define SEM_PRE(op, index, value) (SEM(op, index, value) | 1u << 22)
enum { NOP, INIT, INC, DEC, EQUAL, AT_LEAST, P };

struct element {
	uint16_t id;
	uint8_t command;
	uint64_t source, destination;
	uint32_t size;
	uint64_t doorbell;
	uint8_t doorbell_attributes; /* 0x80 enable, 0/1/2: 32, 16, 8 bits */
	uint32_t doorbell_data;
	uint32_t sem[4];
};

/* Writes the element at the ring's tail; the card sees it after ring_doorbell(). */
static inline void ring_put(struct host *h, struct active *a, const struct element *e)
{
	uint8_t *at = h->ram + a->ring + a->request_tail * 64;

	memset(at, 0, 64);
	qeff_put_u16(at, e->id);
	at[3] = e->command;
	qeff_put_u64(at + 8, e->source);
	qeff_put_u64(at + 16, e->destination);
	qeff_put_u32(at + 24, e->size);
	qeff_put_u64(at + 32, e->doorbell);
	at[40] = e->doorbell_attributes;
	qeff_put_u32(at + 44, e->doorbell_data);
	for (int i = 0; i < 4; i++)
		qeff_put_u32(at + 48 + 4 * i, e->sem[i]);
	a->request_tail = (a->request_tail + 1) % a->elements;
}

static inline void ring_doorbell(struct host *h, const struct active *a)
{
	qeff_card_dbc_write(h->card, a->dbc, 4, a->request_tail);
}

/* Whether a response is there. */
static inline bool ring_ready(struct host *h, const struct active *a)
{
	return qeff_card_dbc_read(h->card, a->dbc, 12) != a->response_head;
}

/* Waits until a response is there; false after 20 s. */
static inline bool ring_wait(struct host *h, const struct active *a)
{
	struct timespec until;
	bool ready;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	pthread_mutex_lock(&h->lock);
	while (!(ready = ring_ready(h, a)))
		if (pthread_cond_timedwait(&h->change, &h->lock, &until))
			break;
	pthread_mutex_unlock(&h->lock);
	return ready;
}

/* Takes a response: completion code << 16 | request id; UINT32_MAX if none came. */
static inline uint32_t ring_take(struct host *h, struct active *a)
{
	const uint8_t *responses;
	uint32_t value;

	if (!ring_wait(h, a))
		return UINT32_MAX;
	responses = h->ram + a->ring + ((a->elements * 68 + 256 + 4095) & ~4095u) - 4 * a->elements;
	value = qeff_get_u32(responses + 4 * a->response_head);
	a->response_head = (a->response_head + 1) % a->elements;
	qeff_card_dbc_write(h->card, a->dbc, 8, a->response_head);
	return value;
}

/* Runs one element and returns its completion code, 0xffff if the response is not its own. */
static inline uint16_t ring_run(struct host *h, struct active *a, struct element e)
{
	static uint16_t id = 1000;
	uint32_t response;

	e.id = ++id;
	e.command |= CMD_COMPLETION;
	ring_put(h, a, &e);
	ring_doorbell(h, a);
	response = ring_take(h, a);
	return (response & 0xffff) == e.id ? (uint16_t)(response >> 16) : 0xffff;
}

/* The two elements of an inference: inputs from @in, outputs and statistics to @out (host offsets).
 */
static inline void inference_put(struct host *h, struct active *a, uint32_t nsps, uint16_t id,
				 uint64_t in, uint64_t out)
{
	const struct element input = {
		.id = id,
		.command = CMD_COMPLETION | CMD_BULK | CMD_IN,
		.source = HOST_BASE + in,
		.destination = a->ddr_base,
		.size = IN_BYTES,
		.doorbell = a->mcid_base,
		.doorbell_attributes = 0x80,
		.doorbell_data = 1,
		.sem = { SEM_PRE(EQUAL, 0, nsps), SEM(INIT, 0, 0) },
	};
	const struct element output = {
		.id = (uint16_t)(id + 1),
		.command = CMD_COMPLETION | CMD_BULK | CMD_OUT,
		.source = a->ddr_base + OUT_OFFSET,
		.destination = HOST_BASE + out,
		.size = OUT_BYTES,
		.doorbell = a->mcid_base + 4,
		.doorbell_attributes = 0x80,
		.doorbell_data = 1,
		.sem = { SEM_PRE(EQUAL, 1, 0), SEM(INIT, 1, nsps) },
	};

	ring_put(h, a, &input);
	ring_put(h, a, &output);
}

/* Token ids; a position of -1 marks the dead ones. */
static inline void inference_input(struct host *h, uint64_t in, const int64_t *ids,
				   const int64_t *positions)
{
	memset(h->ram + in, 0, 64);
	memcpy(h->ram + in + 64, ids, SEQ * 8);
	memcpy(h->ram + in + 96, positions, SEQ * 8);
}

static inline void inference_check(struct host *h, uint64_t out, const int64_t *ids,
				   const int64_t *positions)
{
	const float *rows = (const float *)(h->ram + out);
	unsigned int wrong = 0;

	for (uint32_t r = 0; r < SEQ; r++)
		for (uint32_t c = 0; c < WIDTH; c++)
			wrong += rows[r * WIDTH + c] !=
				 (positions[r] < 0 ? 0 : table_value((uint32_t)ids[r], c));
	CU_ASSERT_EQUAL(wrong, 0);
}

static inline const struct qeff_nsp_stats *inference_stats(struct host *h, uint64_t out)
{
	return (const struct qeff_nsp_stats *)(h->ram + out + SEQ * WIDTH * 4);
}

#endif
