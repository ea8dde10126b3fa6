/* SPDX-License-Identifier: MIT */
/*
 * The flatbuffer schema of program metadata. Table and field names are the format's own, because a
 * package lists by name what its reader must know; the enums below are the slots, in the format's
 * order.
 */
#ifndef QEFF_QPC_METADATA_SCHEMA_H
#define QEFF_QPC_METADATA_SCHEMA_H

#include "qpc/flatbuffer.h"

enum {
	MD_VERSION_MAJOR,
	MD_VERSION_MINOR,
	MD_NETWORK_NAME,
	MD_REQUIRED_FIELDS,
	MD_SEMAPHORE_INIT,
	MD_L2TCM_INIT,
	MD_DMA_REQUESTS,
	MD_NSP_MULTICAST,
	MD_HOST_MULTICAST,
	MD_THREADS,
	MD_CONSTANT_MAPPINGS,
	MD_STATIC_SHARED_DDR,
	MD_DYNAMIC_SHARED_DDR,
	MD_STATIC_CONSTANTS,
	MD_DYNAMIC_CONSTANTS,
	MD_EXIT_DOORBELL,
	MD_L2_CACHED_DDR,
	MD_L2TCM_INIT_SIZE,
	MD_EXEC_CONTEXT_MAJOR,
	MD_NUM_NSPS,
	MD_NUM_SEMAPHORES,
	MD_HW_VERSION_MAJOR,
	MD_HW_VERSION_MINOR,
	MD_STATIC_SHARED_ECC,
	MD_DYNAMIC_SHARED_ECC,
	MD_STATIC_CONSTANTS_ECC,
	MD_DYNAMIC_CONSTANTS_ECC,
	MD_SINGLE_VTCM_PAGE,
	MD_HAS_HVX_FP,
	MD_HAS_HMX_FP,
	MD_VTCM_SIZE,
	MD_L2TCM_SIZE,
	MD_NETWORK_HEAP,
	MD_RAW_STRUCT_LENGTH,
	MD_QNN_CONFIG,
	MD_PORTS,
	MD_EXEC_CONTEXT,
	MD_L2TCM_REGIONS,
	MD_DYNAMIC_SHARED_SUPPORTED,
	MD_HEAP_BEHAVIOUR,
	MD_FIELDS,
};

enum {
	DMA_SEMAPHORE_OPS,
	DMA_DOORBELL_OPS,
	DMA_HOST_OFFSET,
	DMA_DEVICE_OFFSET,
	DMA_SIZE,
	DMA_NUM,
	DMA_MULTICAST_ID,
	DMA_DEVICE_SPACE,
	DMA_DIRECTION,
	DMA_PORT,
	DMA_TRANSACTION,
	DMA_FIELDS,
};

enum { SEM_NUM, SEM_VALUE, SEM_OP, SEM_PRE, SEM_IN_FENCE, SEM_OUT_FENCE, SEM_FIELDS };
enum { BELL_OFFSET, BELL_DATA, BELL_MULTICAST_ID, BELL_SIZE, BELL_FIELDS };
enum { NSP_MC_BASE, NSP_MC_MASK, NSP_MC_SIZE, NSP_MC_SPACE, NSP_MC_DYNAMIC, NSP_MC_FIELDS };
enum { HOST_MC_MASK, HOST_MC_SIZE, HOST_MC_FIELDS };
enum { THREAD_ENTRY, THREAD_TYPE, THREAD_FIELDS };
enum { MAP_OFFSET, MAP_MASK, MAP_SIZE, MAP_FIELDS };
enum { REGION_START, REGION_END, REGION_SIZE, REGION_FIELDS };

/* The only slot of tables that have one. */
#define ONLY_FIELD 0

/* The execution context is a flatbuffer of its own inside a byte vector. */
enum { EXEC_SIZE, EXEC_FIELD_LIST, EXEC_FIELDS };
enum { EXEC_VARIABLE, EXEC_VARIABLE_SIZE, EXEC_OFFSET, EXEC_OPTIONAL, EXEC_FIELD_FIELDS };

extern const struct qeff_fb_schema qeff_md_schema;
extern const struct qeff_fb_schema qeff_md_dma_schema;
extern const struct qeff_fb_schema qeff_md_sem_schema;
extern const struct qeff_fb_schema qeff_md_bell_schema;
extern const struct qeff_fb_schema qeff_md_nsp_table_schema;
extern const struct qeff_fb_schema qeff_md_nsp_mc_schema;
extern const struct qeff_fb_schema qeff_md_host_table_schema;
extern const struct qeff_fb_schema qeff_md_host_mc_schema;
extern const struct qeff_fb_schema qeff_md_thread_schema;
extern const struct qeff_fb_schema qeff_md_map_schema;
extern const struct qeff_fb_schema qeff_md_region_schema;
extern const struct qeff_fb_schema qeff_md_qnn_schema;
extern const struct qeff_fb_schema qeff_md_heap_schema;
extern const struct qeff_fb_schema qeff_md_exec_schema;
extern const struct qeff_fb_schema qeff_md_exec_field_schema;

/* Whether @name is "AicMetadataFlat_Metadata->field->field…" of this schema. */
bool qeff_md_field_known(const char *name);

#endif
