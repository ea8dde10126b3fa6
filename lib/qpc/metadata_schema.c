/* SPDX-License-Identifier: MIT */
/* The flatbuffer schema of program metadata. */
#include "qpc/metadata_schema.h"

#include <assert.h>

#define ROOT_PREFIX "AicMetadataFlat_Metadata"
#define ARROW	    "->"

#define SCHEMA(symbol, table_name, list, count)                                                    \
	static_assert(sizeof(list) / sizeof((list)[0]) == (count), "a name for every slot");       \
	const struct qeff_fb_schema symbol = { table_name, count, list }

static const struct qeff_fb_field sem_fields[] = {
	[SEM_NUM] = { "semNum", QEFF_FB_U16, NULL },
	[SEM_VALUE] = { "semValue", QEFF_FB_U16, NULL },
	[SEM_OP] = { "semOp", QEFF_FB_U8, NULL },
	[SEM_PRE] = { "preOrPost", QEFF_FB_U8, NULL },
	[SEM_IN_FENCE] = { "inSyncFence", QEFF_FB_U8, NULL },
	[SEM_OUT_FENCE] = { "outSyncFence", QEFF_FB_U8, NULL },
};
SCHEMA(qeff_md_sem_schema, "AICMDSemaphoreOp", sem_fields, SEM_FIELDS);

static const struct qeff_fb_field bell_fields[] = {
	[BELL_OFFSET] = { "offset", QEFF_FB_U64, NULL },
	[BELL_DATA] = { "data", QEFF_FB_U32, NULL },
	[BELL_MULTICAST_ID] = { "mcId", QEFF_FB_U16, NULL },
	[BELL_SIZE] = { "size", QEFF_FB_U8, NULL },
};
SCHEMA(qeff_md_bell_schema, "AICMDDoorbellOp", bell_fields, BELL_FIELDS);

static const struct qeff_fb_field dma_fields[] = {
	[DMA_SEMAPHORE_OPS] = { "semaphoreOps", QEFF_FB_VECTOR_TABLE, &qeff_md_sem_schema },
	[DMA_DOORBELL_OPS] = { "doorbellOps", QEFF_FB_VECTOR_TABLE, &qeff_md_bell_schema },
	[DMA_HOST_OFFSET] = { "hostOffset", QEFF_FB_U64, NULL },
	[DMA_DEVICE_OFFSET] = { "devOffset", QEFF_FB_U64, NULL },
	[DMA_SIZE] = { "size", QEFF_FB_U32, NULL },
	[DMA_NUM] = { "num", QEFF_FB_U16, NULL },
	[DMA_MULTICAST_ID] = { "mcId", QEFF_FB_U16, NULL },
	[DMA_DEVICE_SPACE] = { "devAddrSpace", QEFF_FB_U8, NULL },
	[DMA_DIRECTION] = { "inOut", QEFF_FB_U8, NULL },
	[DMA_PORT] = { "portId", QEFF_FB_U16, NULL },
	[DMA_TRANSACTION] = { "transactionId", QEFF_FB_U32, NULL },
};
SCHEMA(qeff_md_dma_schema, "AICMDDMARequest", dma_fields, DMA_FIELDS);

static const struct qeff_fb_field nsp_mc_fields[] = {
	[NSP_MC_BASE] = { "baseAddrOffset", QEFF_FB_U64, NULL },
	[NSP_MC_MASK] = { "mask", QEFF_FB_U32, NULL },
	[NSP_MC_SIZE] = { "size", QEFF_FB_U32, NULL },
	[NSP_MC_SPACE] = { "addrSpace", QEFF_FB_U8, NULL },
	[NSP_MC_DYNAMIC] = { "dynamic", QEFF_FB_U8, NULL },
};
SCHEMA(qeff_md_nsp_mc_schema, "AICMDNSPMulticastEntry", nsp_mc_fields, NSP_MC_FIELDS);

static const struct qeff_fb_field nsp_table_fields[] = {
	[ONLY_FIELD] = { "multicastEntries", QEFF_FB_VECTOR_TABLE, &qeff_md_nsp_mc_schema },
};
SCHEMA(qeff_md_nsp_table_schema, "AICMDNSPMulticastEntryTable", nsp_table_fields, 1);

static const struct qeff_fb_field host_mc_fields[] = {
	[HOST_MC_MASK] = { "mask", QEFF_FB_U32, NULL },
	[HOST_MC_SIZE] = { "size", QEFF_FB_U32, NULL },
};
SCHEMA(qeff_md_host_mc_schema, "AICMDHostMulticastEntry", host_mc_fields, HOST_MC_FIELDS);

static const struct qeff_fb_field host_table_fields[] = {
	[ONLY_FIELD] = { "multicastEntries", QEFF_FB_VECTOR_TABLE, &qeff_md_host_mc_schema },
};
SCHEMA(qeff_md_host_table_schema, "AICMDHostMulticastEntryTable", host_table_fields, 1);

static const struct qeff_fb_field thread_fields[] = {
	[THREAD_ENTRY] = { "entryPoint", QEFF_FB_U64, NULL },
	[THREAD_TYPE] = { "typeMask", QEFF_FB_U8, NULL },
};
SCHEMA(qeff_md_thread_schema, "AICMDThreadDescriptor", thread_fields, THREAD_FIELDS);

static const struct qeff_fb_field map_fields[] = {
	[MAP_OFFSET] = { "constantDataBaseOffset", QEFF_FB_U64, NULL },
	[MAP_MASK] = { "coreMask", QEFF_FB_U32, NULL },
	[MAP_SIZE] = { "size", QEFF_FB_U32, NULL },
};
SCHEMA(qeff_md_map_schema, "AICMDConstantMapping", map_fields, MAP_FIELDS);

static const struct qeff_fb_field region_fields[] = {
	[REGION_START] = { "start", QEFF_FB_U64, NULL },
	[REGION_END] = { "end", QEFF_FB_U64, NULL },
	[REGION_SIZE] = { "size", QEFF_FB_U64, NULL },
};
SCHEMA(qeff_md_region_schema, "NonZeroRegion", region_fields, REGION_FIELDS);

static const struct qeff_fb_field qnn_fields[] = {
	[ONLY_FIELD] = { "Constants", QEFF_FB_U8, NULL },
};
SCHEMA(qeff_md_qnn_schema, "QNNConfigDef", qnn_fields, 1);

static const struct qeff_fb_field heap_fields[] = {
	[ONLY_FIELD] = { "onNetworkDeactivate", QEFF_FB_U8, NULL },
};
SCHEMA(qeff_md_heap_schema, "networkHeapBehaviorDef", heap_fields, 1);

static const struct qeff_fb_field md_fields[] = {
	[MD_VERSION_MAJOR] = { "versionMajor", QEFF_FB_U16, NULL },
	[MD_VERSION_MINOR] = { "versionMinor", QEFF_FB_U16, NULL },
	[MD_NETWORK_NAME] = { "networkName", QEFF_FB_STRING, NULL },
	[MD_REQUIRED_FIELDS] = { "requiredFields", QEFF_FB_VECTOR_STRING, NULL },
	[MD_SEMAPHORE_INIT] = { "semaphoreInitState", QEFF_FB_VECTOR_U32, NULL },
	[MD_L2TCM_INIT] = { "L2TCMInitState", QEFF_FB_VECTOR_U8, NULL },
	[MD_DMA_REQUESTS] = { "dmaRequests", QEFF_FB_VECTOR_TABLE, &qeff_md_dma_schema },
	[MD_NSP_MULTICAST] = { "nspMulticastTables", QEFF_FB_VECTOR_TABLE,
			       &qeff_md_nsp_table_schema },
	[MD_HOST_MULTICAST] = { "hostMulticastTable", QEFF_FB_TABLE, &qeff_md_host_table_schema },
	[MD_THREADS] = { "threadDescriptors", QEFF_FB_VECTOR_TABLE, &qeff_md_thread_schema },
	[MD_CONSTANT_MAPPINGS] = { "constantMappings", QEFF_FB_VECTOR_TABLE, &qeff_md_map_schema },
	[MD_STATIC_SHARED_DDR] = { "staticSharedDDRSize", QEFF_FB_U64, NULL },
	[MD_DYNAMIC_SHARED_DDR] = { "dynamicSharedDDRSize", QEFF_FB_U64, NULL },
	[MD_STATIC_CONSTANTS] = { "staticConstantsSize", QEFF_FB_U64, NULL },
	[MD_DYNAMIC_CONSTANTS] = { "dynamicConstantsSize", QEFF_FB_U64, NULL },
	[MD_EXIT_DOORBELL] = { "exitDoorbellOffset", QEFF_FB_U64, NULL },
	[MD_L2_CACHED_DDR] = { "l2CachedDDRSize", QEFF_FB_U32, NULL },
	[MD_L2TCM_INIT_SIZE] = { "L2TCMInitSize", QEFF_FB_U32, NULL },
	[MD_EXEC_CONTEXT_MAJOR] = { "execContextMajorVersion", QEFF_FB_U16, NULL },
	[MD_NUM_NSPS] = { "numNSPs", QEFF_FB_U16, NULL },
	[MD_NUM_SEMAPHORES] = { "numSemaphores", QEFF_FB_U16, NULL },
	[MD_HW_VERSION_MAJOR] = { "hwVersionMajor", QEFF_FB_U8, NULL },
	[MD_HW_VERSION_MINOR] = { "hwVersionMinor", QEFF_FB_U8, NULL },
	[MD_STATIC_SHARED_ECC] = { "staticSharedDDRECCEnabled", QEFF_FB_U8, NULL },
	[MD_DYNAMIC_SHARED_ECC] = { "dynamicSharedDDRECCEnabled", QEFF_FB_U8, NULL },
	[MD_STATIC_CONSTANTS_ECC] = { "staticConstantsECCEnabled", QEFF_FB_U8, NULL },
	[MD_DYNAMIC_CONSTANTS_ECC] = { "dynamicConstantsECCEnabled", QEFF_FB_U8, NULL },
	[MD_SINGLE_VTCM_PAGE] = { "singleVTCMPage", QEFF_FB_U8, NULL },
	[MD_HAS_HVX_FP] = { "hasHvxFP", QEFF_FB_U8, NULL },
	[MD_HAS_HMX_FP] = { "hasHmxFP", QEFF_FB_U8, NULL },
	[MD_VTCM_SIZE] = { "VTCMSize", QEFF_FB_U32, NULL },
	[MD_L2TCM_SIZE] = { "L2TCMSize", QEFF_FB_U32, NULL },
	[MD_NETWORK_HEAP] = { "networkHeapSize", QEFF_FB_U64, NULL },
	[MD_RAW_STRUCT_LENGTH] = { "raw_struct_version_length", QEFF_FB_U64, NULL },
	[MD_QNN_CONFIG] = { "QNNConfig", QEFF_FB_TABLE, &qeff_md_qnn_schema },
	[MD_PORTS] = { "portTable", QEFF_FB_VECTOR_STRUCT4, NULL },
	[MD_EXEC_CONTEXT] = { "execContext", QEFF_FB_VECTOR_U8, NULL },
	[MD_L2TCM_REGIONS] = { "L2TCMInitStateNonZeroRegions", QEFF_FB_VECTOR_TABLE,
			       &qeff_md_region_schema },
	[MD_DYNAMIC_SHARED_SUPPORTED] = { "dynamicSharedDDRSupported", QEFF_FB_U8, NULL },
	[MD_HEAP_BEHAVIOUR] = { "networkHeapBehavior", QEFF_FB_TABLE, &qeff_md_heap_schema },
};
SCHEMA(qeff_md_schema, "Metadata", md_fields, MD_FIELDS);

static const struct qeff_fb_field exec_field_fields[] = {
	[EXEC_VARIABLE] = { "variableNeeded", QEFF_FB_U32, NULL },
	[EXEC_VARIABLE_SIZE] = { "variableSize", QEFF_FB_U32, NULL },
	[EXEC_OFFSET] = { "execContextOffset", QEFF_FB_U64, NULL },
	[EXEC_OPTIONAL] = { "isRequired", QEFF_FB_U32, NULL },
};
SCHEMA(qeff_md_exec_field_schema, "execContextField", exec_field_fields, EXEC_FIELD_FIELDS);

static const struct qeff_fb_field exec_fields[] = {
	[EXEC_SIZE] = { "execContextSize", QEFF_FB_U32, NULL },
	[EXEC_FIELD_LIST] = { "execContextFields", QEFF_FB_VECTOR_TABLE,
			      &qeff_md_exec_field_schema },
};
SCHEMA(qeff_md_exec_schema, "execContext", exec_fields, EXEC_FIELDS);

/* Steps over "->name" if @name is the next part of the path. */
static const char *step(const char *at, const char *name)
{
	size_t length = strlen(name);

	if (strncmp(at, ARROW, strlen(ARROW)))
		return NULL;
	at += strlen(ARROW);
	if (strncmp(at, name, length) || (at[length] && strncmp(at + length, ARROW, strlen(ARROW))))
		return NULL;
	return at + length;
}

static const struct qeff_fb_field *find_step(const struct qeff_fb_schema *schema, const char **at)
{
	for (unsigned int i = 0; i < schema->num_fields; i++) {
		const char *next = step(*at, schema->fields[i].name);

		if (next) {
			*at = next;
			return &schema->fields[i];
		}
	}
	return NULL;
}

bool qeff_md_field_known(const char *name)
{
	const struct qeff_fb_schema *schema = &qeff_md_schema;
	const struct qeff_fb_field *field = NULL;
	const char *at = name + strlen(ROOT_PREFIX);

	if (strncmp(name, ROOT_PREFIX, strlen(ROOT_PREFIX)))
		return false;
	while (schema && *at) {
		field = find_step(schema, &at);
		if (!field)
			break;
		schema = field->table;
	}
	if (!field)
		return false;
	if (!*at)
		return true;
	/* the port table is a vector of structs, which have no schema of their own */
	return field->kind == QEFF_FB_VECTOR_STRUCT4 &&
	       (!strcmp(at, ARROW "portId") || !strcmp(at, ARROW "portType"));
}
