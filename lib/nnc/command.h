/* SPDX-License-Identifier: MIT */
/*
 * L3 of the control protocol: the commands that travel inside passthrough transactions, from the
 * process to the card's firmware, and their responses. Offsets count from the first byte after the
 * transaction's header. A command may be followed by padding: longer than its layout is fine,
 * shorter is not.
 */
#ifndef QEFF_NNC_COMMAND_H
#define QEFF_NNC_COMMAND_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define QEFF_NNC_PROTOCOL_MAJOR 17u
#define QEFF_NNC_PROTOCOL_MINOR 0u
/* The STATUS response layout below. */
#define QEFF_NNC_STATUS_FORMAT 12u
#define QEFF_NNC_NAME_BYTES    64u
/* Tags that tie a DMA_XFER to the command of the same message. */
#define QEFF_NNC_TAG_ELF       100u
#define QEFF_NNC_TAG_CONSTANTS 300u
/* Bytes of device address space between two multicast windows. */
#define QEFF_NNC_MCID_STRIDE 0x800000u

/* A response's type is its request's plus one, but for the two later forms of LOAD_CONSTANTS. */
enum qeff_nnc_command {
	QEFF_NNC_LOAD_CONSTANTS = 1,
	QEFF_NNC_LOAD_CONSTANTS_RESP = 2,
	QEFF_NNC_LOAD_ELF = 3,
	QEFF_NNC_LOAD_ELF_RESP = 4,
	QEFF_NNC_UNLOAD_CONSTANTS = 5,
	QEFF_NNC_UNLOAD_CONSTANTS_RESP = 6,
	QEFF_NNC_UNLOAD_ELF = 7,
	QEFF_NNC_UNLOAD_ELF_RESP = 8,
	QEFF_NNC_ACTIVATE = 9,
	QEFF_NNC_ACTIVATE_RESP = 10,
	QEFF_NNC_DEACTIVATE = 11,
	QEFF_NNC_DEACTIVATE_RESP = 12,
	QEFF_NNC_STATUS = 13,
	QEFF_NNC_STATUS_RESP = 14,
	QEFF_NNC_LOAD_CONSTANTS_EX = 15,      /* answered by LOAD_CONSTANTS_RESP */
	QEFF_NNC_LOAD_CONSTANTS_PAYLOAD = 16, /* answered by LOAD_CONSTANTS_RESP */
	QEFF_NNC_TERMINATE = 17,
	QEFF_NNC_TERMINATE_RESP = 18,
	QEFF_NNC_RESERVE_VC = 19,
	QEFF_NNC_RESERVE_VC_RESP = 20,
	QEFF_NNC_RELEASE_VC = 22,
	QEFF_NNC_AC_RESERVATION = 24,
	QEFF_NNC_AC_RELEASE = 26,
	QEFF_NNC_CREATE_RESOURCE_GROUP = 28,
	QEFF_NNC_RELEASE_RESOURCE_GROUP = 30,
	QEFF_NNC_RESOURCE_INFO = 32,
	QEFF_NNC_RESOURCE_INFO_RESP = 33,
	QEFF_NNC_PERFORMANCE_INFO = 34,
	QEFF_NNC_PERFORMANCE_INFO_RESP = 35,
	QEFF_NNC_ACTIVATE_STATE_CMD = 36,
	QEFF_NNC_DEVICE_CONFIG = 38,
	QEFF_NNC_UPDATE_AC_RESERVATION = 44,
};

/* Statuses, the ones this tree speaks of; qeff_nnc_status_name() knows all public ones. */
enum qeff_nnc_status {
	QEFF_NNC_OK = 0,
	QEFF_NNC_ERR_GENERAL = -1,
	QEFF_NNC_ERR_DMA = -2,
	QEFF_NNC_ERR_UNDEFINED_REQUEST = -3,
	QEFF_NNC_ERR_MEMORY = -4,
	QEFF_NNC_ERR_METADATA = -5,
	QEFF_NNC_ERR_PARAMETER = -6,
	QEFF_NNC_ERR_NOT_PERMITTED = -9,
	QEFF_NNC_ERR_NOT_FOUND = -11,
	QEFF_NNC_ERR_MCID = -12,
	QEFF_NNC_ERR_NSP = -13,
	QEFF_NNC_ERR_VC = -14,
	QEFF_NNC_ERR_SEMAPHORE = -15,
	QEFF_NNC_ERR_COMMAND_LENGTH = -17,
	QEFF_NNC_ERR_QUEUE_TOO_SMALL = -34,
	QEFF_NNC_ERR_VC_CONFIGURATION = -35,
	QEFF_NNC_ERR_SUBSYSTEM_RESTART = -36,
	QEFF_NNC_ERR_PROGRAM_IMAGE = -46,
	QEFF_NNC_ERR_MCID_CONFIGURATION = -47,
	QEFF_NNC_ERR_L2TCM_INIT = -49,
	QEFF_NNC_ERR_METADATA_RETRIEVAL = -54,
	QEFF_NNC_ERR_METADATA_PARSE = -61,
	QEFF_NNC_ERR_NSP_COUNT = -62,
	QEFF_NNC_ERR_MCID_COUNT = -65,
	QEFF_NNC_ERR_EXEC_CONTEXT = -102,
};

/* A few words for a person ("NSP allocation"), or "unknown status". */
const char *qeff_nnc_status_name(int32_t status);
/* "LOAD_ELF" and so on, for traces and messages; "unknown command" otherwise. */
const char *qeff_nnc_command_name(uint32_t type);

struct qeff_nnc_load_constants_req {
	uint32_t type;
	uint32_t process_id;
	uint32_t tag;
	uint32_t data_crc;
	uint64_t data_length;
	char name[QEFF_NNC_NAME_BYTES];
};

struct qeff_nnc_load_constants_ex_req {
	uint32_t type;
	uint32_t process_id;
	char name[QEFF_NNC_NAME_BYTES];
	uint32_t descriptor_length; /* bytes of the package's constants descriptor, which follows */
	uint32_t pad;
};

struct qeff_nnc_load_constants_payload_req {
	uint32_t type;
	uint32_t process_id;
	uint32_t tag;
	uint32_t constants_id;
	uint64_t data_length;
	uint64_t offset; /* in the constants area: static constants first, then dynamic ones */
};

struct qeff_nnc_load_constants_resp {
	uint32_t type;
	uint32_t constants_id;
	int32_t status;
	uint32_t pad;
};

struct qeff_nnc_load_elf_req {
	uint32_t type;
	uint32_t tag;
	uint32_t process_id;
	uint32_t metadata_crc;
	char name[QEFF_NNC_NAME_BYTES];
	uint64_t data_length;
	uint32_t metadata_fb_crc;
	uint32_t pad;
};

struct qeff_nnc_load_elf_resp {
	uint32_t type;
	uint32_t elf_id;
	int32_t status;
	uint32_t pad;
};

/* UNLOAD_CONSTANTS and UNLOAD_ELF. */
struct qeff_nnc_unload_req {
	uint32_t type;
	uint32_t id;
};

/* UNLOAD_CONSTANTS, UNLOAD_ELF, DEACTIVATE, and every refusal that needs no more than a status. */
struct qeff_nnc_result_resp {
	uint32_t type;
	int32_t status;
};

struct qeff_nnc_activate_req {
	uint32_t type;
	uint32_t process_id;
	uint32_t constants_id; /* 0: none */
	uint32_t elf_id;
	uint32_t reservation_type; /* 0: none */
	int32_t reservation_id;	   /* -1 */
	uint32_t opt_vc_setup;	   /* 1: the message carries an ACTIVATE transaction */
	int32_t vc_reservation_id; /* -1; 0xfe: take no virtual channel */
	int32_t initial_state;	   /* 0 standby, 1 ready */
	uint32_t dma_type;
	uint8_t datapath_switching;
	uint8_t pad[7];
};

struct __attribute__((packed)) qeff_nnc_activate_resp {
	uint32_t type;
	int32_t status;
	uint32_t activation_id;
	uint32_t virtual_channel_id; /* the DMA bridge channel */
	uint64_t ddr_base;
	uint64_t dynamic_ddr_base;
	uint64_t mcid_base;
	uint64_t mcid_base_dma_cmd;
	uint32_t dma_type;
	uint32_t physical_channel_mask;
	uint64_t command_polling_address;
	uint32_t command_polling_size;
	uint32_t command_polling_data;
	uint64_t command_doorbell_address;
	uint8_t command_doorbell_length;
	uint8_t command_doorbell_valid;
	uint32_t nsp_mask; /* not aligned on the wire */
	uint8_t pad[2];
};

struct qeff_nnc_deactivate_req {
	uint32_t type;
	uint32_t activation_id;
	uint32_t opt_vc_teardown; /* 1: the message carries a DEACTIVATE transaction */
	uint32_t pad;
};

struct qeff_nnc_status_req {
	uint32_t type;
	uint8_t info_type;
	uint8_t pad[3];
};

struct qeff_nnc_resources {
	uint32_t ddr_total_mb;
	uint32_t ddr_free_mb;
	uint32_t fragmentation_percent;
	uint8_t vc_total, vc_free;
	uint8_t nsp_total, nsp_free;
	uint32_t mcid_total, mcid_free;
	uint32_t semaphores_total, semaphores_free;
	uint8_t physical_channels_total, physical_channels_reserved;
	uint8_t pad[6];
};

struct qeff_nnc_performance {
	uint32_t nsp_clock_hz;
	uint32_t ddr_clock_hz;
	uint32_t comp_noc_clock_hz;
	uint32_t mem_noc_clock_hz;
	uint32_t sys_noc_clock_hz;
	uint32_t pad;
	uint64_t peak_int8_ops_per_s;
	uint64_t ddr_kbytes_per_s;
	uint64_t reserved[2];
};

/* Strings of the STATUS response are NUL padded but need not end with a NUL: see qeff_nnc_text().
 */
struct qeff_nnc_device_data {
	uint8_t firmware_major, firmware_minor, firmware_patch;
	uint8_t firmware_build; /* 255: none */
	char qc_version[38];
	char oem_version[38];
	char variant[16];
	uint32_t hardware_version;
	char chip_serial[16];
	char board_serial[32];
	uint32_t compiler_version;
	struct qeff_nnc_resources resources;
	struct qeff_nnc_performance performance;
	uint32_t constants_loaded;
	uint32_t constants_in_use;
	uint8_t networks_loaded;
	uint8_t networks_active;
	uint16_t metadata_major, metadata_minor;
	uint16_t protocol_major, protocol_minor;
	char sbl_name[24];
	uint8_t reset_needed;
	uint8_t pad0;
	uint32_t pvs_version;
	uint64_t nsp_defective_mask;
	uint64_t qts_offset_us;
	uint32_t retired_pages;
	uint8_t sku;
	uint8_t complex_id;
	uint8_t pad1[2];
};

struct qeff_nnc_nsp_data {
	uint8_t major, minor, patch, build;
	uint8_t pad[4];
	char qc_version[64];
	char oem_version[48];
	char variant[48];
};

struct qeff_nnc_status_resp {
	uint32_t type;
	int32_t status;
	uint8_t format_version;
	uint8_t pad[7];
	struct qeff_nnc_device_data device;
	struct qeff_nnc_nsp_data nsp;
};

struct qeff_nnc_resource_info_req {
	uint32_t type;
	uint32_t process_id;
	int32_t resource_group; /* -1: the whole card */
	uint32_t pad;
};

struct qeff_nnc_resource_info_resp {
	uint32_t type;
	int32_t resource_group;
	struct qeff_nnc_resources resources;
	int32_t status;
	uint32_t pad;
};

struct qeff_nnc_performance_info_req {
	uint32_t type;
	uint32_t process_id;
};

struct qeff_nnc_performance_info_resp {
	uint32_t type;
	int32_t status;
	struct qeff_nnc_performance performance;
};

static_assert(sizeof(struct qeff_nnc_load_constants_req) == 88, "L3 layout");
static_assert(offsetof(struct qeff_nnc_load_constants_req, tag) == 8, "L3 layout");
static_assert(offsetof(struct qeff_nnc_load_constants_req, data_length) == 16, "L3 layout");
static_assert(offsetof(struct qeff_nnc_load_constants_req, name) == 24, "L3 layout");
static_assert(sizeof(struct qeff_nnc_load_constants_ex_req) == 80, "L3 layout");
static_assert(offsetof(struct qeff_nnc_load_constants_ex_req, name) == 8, "L3 layout");
static_assert(offsetof(struct qeff_nnc_load_constants_ex_req, descriptor_length) == 72,
	      "L3 layout");
static_assert(sizeof(struct qeff_nnc_load_constants_payload_req) == 32, "L3 layout");
static_assert(offsetof(struct qeff_nnc_load_constants_payload_req, tag) == 8, "L3 layout");
static_assert(offsetof(struct qeff_nnc_load_constants_payload_req, constants_id) == 12,
	      "L3 layout");
static_assert(offsetof(struct qeff_nnc_load_constants_payload_req, data_length) == 16, "L3 layout");
static_assert(offsetof(struct qeff_nnc_load_constants_payload_req, offset) == 24, "L3 layout");
static_assert(sizeof(struct qeff_nnc_load_constants_resp) == 16, "L3 layout");
static_assert(offsetof(struct qeff_nnc_load_constants_resp, status) == 8, "L3 layout");
static_assert(sizeof(struct qeff_nnc_load_elf_req) == 96, "L3 layout");
static_assert(offsetof(struct qeff_nnc_load_elf_req, tag) == 4, "L3 layout");
static_assert(offsetof(struct qeff_nnc_load_elf_req, process_id) == 8, "L3 layout");
static_assert(offsetof(struct qeff_nnc_load_elf_req, metadata_crc) == 12, "L3 layout");
static_assert(offsetof(struct qeff_nnc_load_elf_req, name) == 16, "L3 layout");
static_assert(offsetof(struct qeff_nnc_load_elf_req, data_length) == 80, "L3 layout");
static_assert(offsetof(struct qeff_nnc_load_elf_req, metadata_fb_crc) == 88, "L3 layout");
static_assert(sizeof(struct qeff_nnc_load_elf_resp) == 16, "L3 layout");
static_assert(sizeof(struct qeff_nnc_unload_req) == 8, "L3 layout");
static_assert(sizeof(struct qeff_nnc_result_resp) == 8, "L3 layout");
static_assert(sizeof(struct qeff_nnc_activate_req) == 48, "L3 layout");
static_assert(offsetof(struct qeff_nnc_activate_req, constants_id) == 8, "L3 layout");
static_assert(offsetof(struct qeff_nnc_activate_req, elf_id) == 12, "L3 layout");
static_assert(offsetof(struct qeff_nnc_activate_req, reservation_id) == 20, "L3 layout");
static_assert(offsetof(struct qeff_nnc_activate_req, opt_vc_setup) == 24, "L3 layout");
static_assert(offsetof(struct qeff_nnc_activate_req, vc_reservation_id) == 28, "L3 layout");
static_assert(offsetof(struct qeff_nnc_activate_req, initial_state) == 32, "L3 layout");
static_assert(offsetof(struct qeff_nnc_activate_req, datapath_switching) == 40, "L3 layout");
static_assert(sizeof(struct qeff_nnc_activate_resp) == 88, "L3 layout");
static_assert(offsetof(struct qeff_nnc_activate_resp, ddr_base) == 16, "L3 layout");
static_assert(offsetof(struct qeff_nnc_activate_resp, dynamic_ddr_base) == 24, "L3 layout");
static_assert(offsetof(struct qeff_nnc_activate_resp, mcid_base) == 32, "L3 layout");
static_assert(offsetof(struct qeff_nnc_activate_resp, dma_type) == 48, "L3 layout");
static_assert(offsetof(struct qeff_nnc_activate_resp, command_polling_address) == 56, "L3 layout");
static_assert(offsetof(struct qeff_nnc_activate_resp, command_doorbell_address) == 72, "L3 layout");
static_assert(offsetof(struct qeff_nnc_activate_resp, nsp_mask) == 82, "L3 layout");
static_assert(sizeof(struct qeff_nnc_deactivate_req) == 16, "L3 layout");
static_assert(sizeof(struct qeff_nnc_status_req) == 8, "L3 layout");
static_assert(sizeof(struct qeff_nnc_resources) == 40, "L3 layout");
static_assert(offsetof(struct qeff_nnc_resources, vc_total) == 12, "L3 layout");
static_assert(offsetof(struct qeff_nnc_resources, nsp_total) == 14, "L3 layout");
static_assert(offsetof(struct qeff_nnc_resources, mcid_total) == 16, "L3 layout");
static_assert(offsetof(struct qeff_nnc_resources, semaphores_total) == 24, "L3 layout");
static_assert(offsetof(struct qeff_nnc_resources, physical_channels_total) == 32, "L3 layout");
static_assert(sizeof(struct qeff_nnc_performance) == 56, "L3 layout");
static_assert(offsetof(struct qeff_nnc_performance, peak_int8_ops_per_s) == 24, "L3 layout");
static_assert(sizeof(struct qeff_nnc_device_data) == 320, "L3 layout");
static_assert(offsetof(struct qeff_nnc_device_data, oem_version) == 42, "L3 layout");
static_assert(offsetof(struct qeff_nnc_device_data, variant) == 80, "L3 layout");
static_assert(offsetof(struct qeff_nnc_device_data, hardware_version) == 96, "L3 layout");
static_assert(offsetof(struct qeff_nnc_device_data, board_serial) == 116, "L3 layout");
static_assert(offsetof(struct qeff_nnc_device_data, compiler_version) == 148, "L3 layout");
static_assert(offsetof(struct qeff_nnc_device_data, resources) == 152, "L3 layout");
static_assert(offsetof(struct qeff_nnc_device_data, performance) == 192, "L3 layout");
static_assert(offsetof(struct qeff_nnc_device_data, constants_loaded) == 248, "L3 layout");
static_assert(offsetof(struct qeff_nnc_device_data, networks_loaded) == 256, "L3 layout");
static_assert(offsetof(struct qeff_nnc_device_data, metadata_major) == 258, "L3 layout");
static_assert(offsetof(struct qeff_nnc_device_data, protocol_major) == 262, "L3 layout");
static_assert(offsetof(struct qeff_nnc_device_data, sbl_name) == 266, "L3 layout");
static_assert(offsetof(struct qeff_nnc_device_data, reset_needed) == 290, "L3 layout");
static_assert(offsetof(struct qeff_nnc_device_data, pvs_version) == 292, "L3 layout");
static_assert(offsetof(struct qeff_nnc_device_data, nsp_defective_mask) == 296, "L3 layout");
static_assert(offsetof(struct qeff_nnc_device_data, retired_pages) == 312, "L3 layout");
static_assert(offsetof(struct qeff_nnc_device_data, sku) == 316, "L3 layout");
static_assert(sizeof(struct qeff_nnc_nsp_data) == 168, "L3 layout");
static_assert(offsetof(struct qeff_nnc_nsp_data, qc_version) == 8, "L3 layout");
static_assert(offsetof(struct qeff_nnc_nsp_data, oem_version) == 72, "L3 layout");
static_assert(offsetof(struct qeff_nnc_nsp_data, variant) == 120, "L3 layout");
static_assert(sizeof(struct qeff_nnc_status_resp) == 504, "L3 layout");
static_assert(offsetof(struct qeff_nnc_status_resp, format_version) == 8, "L3 layout");
static_assert(offsetof(struct qeff_nnc_status_resp, device) == 16, "L3 layout");
static_assert(offsetof(struct qeff_nnc_status_resp, nsp) == 336, "L3 layout");
static_assert(sizeof(struct qeff_nnc_resource_info_req) == 16, "L3 layout");
static_assert(sizeof(struct qeff_nnc_resource_info_resp) == 56, "L3 layout");
static_assert(offsetof(struct qeff_nnc_resource_info_resp, resources) == 8, "L3 layout");
static_assert(offsetof(struct qeff_nnc_resource_info_resp, status) == 48, "L3 layout");
static_assert(sizeof(struct qeff_nnc_performance_info_req) == 8, "L3 layout");
static_assert(sizeof(struct qeff_nnc_performance_info_resp) == 64, "L3 layout");
static_assert(offsetof(struct qeff_nnc_performance_info_resp, performance) == 8, "L3 layout");

/* Copies a fixed-size string field of a response, ends it with a NUL, and turns what is not
 * printable ASCII into '?'. @text must hold @field_bytes + 1. */
void qeff_nnc_text(char *text, const char *field, size_t field_bytes);

#endif
