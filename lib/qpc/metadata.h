/* SPDX-License-Identifier: MIT */
/*
 * Program metadata: the contract between compiler, host and card. It says what the program needs
 * (NSPs, memory, semaphores), how it starts, and which DMA requests make up one inference. It is
 * encoded in a flatbuffer or, by older compilers, in a struct of offsets; both decode into struct
 * qeff_metadata here.
 */
#ifndef QEFF_QPC_METADATA_H
#define QEFF_QPC_METADATA_H

#include "util/bytes.h"
#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QEFF_METADATA_VERSION_MAJOR 1
#define QEFF_METADATA_VERSION_MINOR 0
#define QEFF_METADATA_MAX_BYTES	    ((size_t)64 << 20)

#define QEFF_MD_MAX_NSPS	    16
#define QEFF_MD_MAX_SEMAPHORES	    32
#define QEFF_MD_MAX_SEMAPHORE_VALUE 0xfff
#define QEFF_MD_MAX_SEMAPHORE_OPS   4
#define QEFF_MD_MAX_DOORBELL_OPS    255
#define QEFF_MD_MAX_THREADS	    64
/* Distance of the windows of two multicast ids in the card's address space, and so the end of each.
 */
#define QEFF_MD_MULTICAST_STRIDE ((uint64_t)0x800000)
#define QEFF_MD_L2TCM_BYTES	 ((uint32_t)1 << 20)
#define QEFF_MD_VTCM_BYTES	 ((uint32_t)8 << 20)

#define QEFF_MD_NO_BUFFER      UINT16_MAX
#define QEFF_MD_NO_TRANSACTION UINT32_MAX

/* Hardware 2.0: AIC100. */
#define QEFF_MD_HW_VERSION_MAJOR 2
#define QEFF_MD_HW_VERSION_MINOR 0

#define QEFF_MD_PORT_USER_INPUT	 100
#define QEFF_MD_PORT_USER_OUTPUT 101

enum qeff_md_sem_op {
	QEFF_MD_SEM_NOP = 0,
	QEFF_MD_SEM_INIT = 1,
	QEFF_MD_SEM_INC = 2,
	QEFF_MD_SEM_DEC = 3,
	QEFF_MD_SEM_WAIT_EQUAL = 4,
	QEFF_MD_SEM_WAIT_GREATER_EQUAL = 5,
	QEFF_MD_SEM_WAIT_NONZERO_DEC = 6,
};

enum qeff_md_device_space {
	QEFF_MD_SPACE_MULTICAST = 0,
	QEFF_MD_SPACE_DDR = 1,
	QEFF_MD_SPACE_DDR_DYNAMIC = 2,
};

enum qeff_md_nsp_space {
	QEFF_MD_NSP_L2TCM = 0,
	QEFF_MD_NSP_VTCM = 1,
};

enum qeff_md_direction {
	QEFF_MD_TO_DEVICE = 0,
	QEFF_MD_FROM_DEVICE = 1,
};

/* Bits of a thread's type mask. */
#define QEFF_MD_THREAD_HMX 1
#define QEFF_MD_THREAD_HVX 2

/* @pre: before the transfer, else after it. @in_fence, @out_fence: as the DMA bridge's sync fences.
 */
struct qeff_md_semaphore_op {
	uint16_t semaphore;
	uint16_t value;
	uint8_t op; /* enum qeff_md_sem_op */
	bool pre;
	bool in_fence;
	bool out_fence;
};

/* @offset: in the window of multicast id @multicast_id; @size_code: 0, 1, 2 for 8, 16, 32 bits. */
struct qeff_md_doorbell_op {
	uint64_t offset;
	uint32_t data;
	uint16_t multicast_id;
	uint8_t size_code;
};

/**
 * struct qeff_md_dma_request - one transfer between host and card
 * @host_offset: byte offset in the host's buffer
 * @device_offset: byte offset in the device space
 * @size_bytes: may be 0: only semaphores and doorbells then
 * @buffer: number of the DMA buffer, or QEFF_MD_NO_BUFFER
 * @multicast_id: which window, if @device_space is QEFF_MD_SPACE_MULTICAST
 * @device_space: enum qeff_md_device_space
 * @direction: enum qeff_md_direction
 * @port: QEFF_MD_PORT_USER_INPUT, QEFF_MD_PORT_USER_OUTPUT or one of @ports
 * @transaction: or QEFF_MD_NO_TRANSACTION
 */
struct qeff_md_dma_request {
	uint64_t host_offset;
	uint64_t device_offset;
	uint32_t size_bytes;
	uint16_t buffer;
	uint16_t multicast_id;
	uint8_t device_space;
	uint8_t direction;
	uint16_t port;
	uint32_t transaction;
	uint32_t num_semaphore_ops;
	const struct qeff_md_semaphore_op *semaphore_ops;
	uint32_t num_doorbell_ops;
	const struct qeff_md_doorbell_op *doorbell_ops;
};

/* Where the NSPs in @nsp_mask see multicast id n (n: index in the table). */
struct qeff_md_nsp_multicast {
	uint64_t base_offset;
	uint32_t nsp_mask;
	uint32_t size_bytes;
	uint8_t space; /* enum qeff_md_nsp_space */
	bool dynamic;
};

/* One per NSP. */
struct qeff_md_nsp_multicast_table {
	uint32_t num_entries;
	const struct qeff_md_nsp_multicast *entries;
};

/* Multicast id n of the host: which NSPs it reaches and how long its window is. */
struct qeff_md_host_multicast {
	uint32_t nsp_mask;
	uint32_t size_bytes;
};

struct qeff_md_thread {
	uint64_t entry_point;
	uint8_t type_mask;
};

/* Constants [offset, offset + size) are mapped into the NSPs in @nsp_mask. */
struct qeff_md_constant_mapping {
	uint64_t offset;
	uint32_t nsp_mask;
	uint32_t size_bytes;
};

/* @type: 0 user input and output, 1 peer to peer, 2 between cards. */
struct qeff_md_port {
	uint16_t id;
	int8_t type;
};

/* One variable of the execution context and where the program expects it. */
struct qeff_md_exec_field {
	uint32_t variable;
	uint32_t size_bytes;
	uint64_t offset;
	bool optional;
};

enum qeff_md_form {
	QEFF_MD_FLATBUFFER = 0,
	QEFF_MD_FLATBUFFER_TERMINATED = 1, /* behind the 8-byte terminator */
	QEFF_MD_STRUCT = 2,
};

/**
 * struct qeff_metadata - decoded metadata
 *
 * As parsed, everything is validated (see metadata_validate.c for the rules) and lives until
 *qeff_metadata_free(). To write, fill one yourself; it may point anywhere.
 *
 * @form: how it was encoded; not read by the writer
 * @network_name: UTF-8, "" if absent
 * @required_fields: names of fields a reader must know. The writer adds "network name" and, if
 *there is one, "execution context" by itself, and these after them
 * @semaphore_init: @num_semaphores initial values
 * @l2tcm_init: the image that every NSP's L2TCM starts with, zero runs restored
 * @nsp_multicast: one table for each of @num_nsps NSPs, or NULL with @num_nsp_multicast 0
 * @host_multicast: the host's table; the index is the multicast id
 * @ports: ports named by the package
 * @exec_context_bytes: size of the execution context the program was built for; 0 if it does not
 *say
 * @exec_fields: where it expects each variable
 */
struct qeff_metadata {
	enum qeff_md_form form;
	uint16_t version_major;
	uint16_t version_minor;
	const char *network_name;
	uint32_t num_required_fields;
	const char *const *required_fields;

	uint32_t num_nsps;
	uint32_t num_semaphores;
	const uint32_t *semaphore_init;
	uint32_t l2tcm_init_bytes;
	const uint8_t *l2tcm_init;
	uint32_t num_dma_requests;
	const struct qeff_md_dma_request *dma_requests;
	uint32_t num_nsp_multicast;
	const struct qeff_md_nsp_multicast_table *nsp_multicast;
	uint32_t num_host_multicast;
	const struct qeff_md_host_multicast *host_multicast;
	uint32_t num_threads;
	const struct qeff_md_thread *threads;
	uint32_t num_constant_mappings;
	const struct qeff_md_constant_mapping *constant_mappings;
	uint32_t num_ports;
	const struct qeff_md_port *ports;

	uint64_t static_shared_ddr_bytes;
	uint64_t dynamic_shared_ddr_bytes;
	uint64_t static_constants_bytes;
	uint64_t dynamic_constants_bytes;
	uint64_t exit_doorbell_offset;
	uint64_t network_heap_bytes;
	uint32_t l2_cached_ddr_bytes;
	uint32_t vtcm_bytes;
	uint32_t l2tcm_bytes;
	uint16_t exec_context_major;
	uint8_t hw_version_major;
	uint8_t hw_version_minor;
	bool static_shared_ecc;
	bool dynamic_shared_ecc;
	bool static_constants_ecc;
	bool dynamic_constants_ecc;
	bool single_vtcm_page;
	bool has_hvx_fp;
	bool has_hmx_fp;
	bool dynamic_shared_ddr_supported;

	uint32_t exec_context_bytes;
	uint32_t num_exec_fields;
	const struct qeff_md_exec_field *exec_fields;
};

/* Parses any form and validates. Nothing points into @data afterwards. */
int qeff_metadata_parse(const void *data, size_t size_bytes, struct qeff_metadata **metadata,
			struct qeff_error *err);
void qeff_metadata_free(struct qeff_metadata *metadata);

/* The rules a network must keep, whatever form it came in. qeff_metadata_parse() applies them; so
 * does the writer. */
int qeff_metadata_validate(const struct qeff_metadata *metadata, struct qeff_error *err);

/* Appends the flatbuffer form, behind the terminator, to @out. The same metadata gives the same
 * bytes. */
int qeff_metadata_write(const struct qeff_metadata *metadata, struct qeff_bytes *out,
			struct qeff_error *err);

#endif
