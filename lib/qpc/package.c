/* SPDX-License-Identifier: MIT */
/*
 * An open package. Everything is parsed when it is opened and never changes after, so that any
 * thread may look; a part that is damaged keeps its error instead.
 */
#include "qpc/package.h"

#include "qpc/container.h"
#include "qpc/image.h"
#include "qpc/netdesc.h"
#include "util/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct qeff_qpc {
	struct qeff_map map; /* unused if the bytes are borrowed */
	char *name;
	const void *data;
	size_t size_bytes;
	struct qeff_container container;

	struct qeff_netdesc *netdesc; /* or the error */
	struct qeff_error netdesc_error;
	struct qeff_metadata *metadata; /* or the error */
	struct qeff_error metadata_error;
	struct qeff_program program; /* valid with @metadata */
};

/* Gives back a kept error, with the package's name before it. */
static int kept(const struct qeff_qpc *qpc, const struct qeff_error *error, struct qeff_error *err)
{
	return qeff_error_set(err, error->code, "%s: %.400s", qpc->name, error->message);
}

static void load_network(struct qeff_qpc *qpc)
{
	const struct qeff_segment *segment =
		qeff_container_find(&qpc->container, QEFF_SEGMENT_NETWORK);

	if (!segment)
		qeff_error_set(&qpc->netdesc_error, -ENOENT, "it has no segment \"%s\"",
			       QEFF_SEGMENT_NETWORK);
	else
		qeff_netdesc_parse(segment->data, (size_t)segment->size_bytes, &qpc->netdesc,
				   &qpc->netdesc_error);
}

static const char *form_name(enum qeff_md_form form)
{
	switch (form) {
	case QEFF_MD_FLATBUFFER:
		return "flatbuffer";
	case QEFF_MD_FLATBUFFER_TERMINATED:
		return "flatbuffer behind a terminator";
	case QEFF_MD_STRUCT:
		return "struct";
	}
	return "unknown";
}

static void summarise(struct qeff_qpc *qpc, const char *section)
{
	const struct qeff_metadata *md = qpc->metadata;

	qpc->program = (struct qeff_program){
		.metadata_section = section,
		.metadata_form = form_name(md->form),
		.network_name = md->network_name,
		.version_major = md->version_major,
		.version_minor = md->version_minor,
		.exec_context_major = md->exec_context_major,
		.hw_version_major = md->hw_version_major,
		.hw_version_minor = md->hw_version_minor,
		.num_nsps = md->num_nsps,
		.num_semaphores = md->num_semaphores,
		.num_dma_requests = md->num_dma_requests,
		.num_multicast_entries = md->num_host_multicast,
		.num_threads = md->num_threads,
		.num_constant_mappings = md->num_constant_mappings,
		.static_shared_ddr_bytes = md->static_shared_ddr_bytes,
		.dynamic_shared_ddr_bytes = md->dynamic_shared_ddr_bytes,
		.static_constants_bytes = md->static_constants_bytes,
		.dynamic_constants_bytes = md->dynamic_constants_bytes,
		.heap_bytes = md->network_heap_bytes,
		.l2_cached_ddr_bytes = md->l2_cached_ddr_bytes,
		.l2tcm_bytes = md->l2tcm_bytes,
		.l2tcm_init_bytes = md->l2tcm_init_bytes,
		.vtcm_bytes = md->vtcm_bytes,
		.single_vtcm_page = md->single_vtcm_page,
	};
}

static void load_program(struct qeff_qpc *qpc)
{
	const struct qeff_segment *segment =
		qeff_container_find(&qpc->container, QEFF_SEGMENT_IMAGE);
	struct qeff_image_metadata found;

	if (!segment) {
		qeff_error_set(&qpc->metadata_error, -ENOENT, "it has no segment \"%s\"",
			       QEFF_SEGMENT_IMAGE);
		return;
	}
	if (!qeff_image_find_metadata(segment->data, (size_t)segment->size_bytes, &found,
				      &qpc->metadata_error) &&
	    !qeff_metadata_parse(found.data, found.size_bytes, &qpc->metadata,
				 &qpc->metadata_error))
		summarise(qpc, found.section);
}

static int load(struct qeff_qpc *qpc, struct qeff_error *err)
{
	int ret = qeff_container_parse(qpc->data, qpc->size_bytes, &qpc->container, err);

	if (ret)
		return qeff_error_prefix(err, ret, "%s", qpc->name);
	load_network(qpc);
	load_program(qpc);
	return 0;
}

/* The file to open: @path, or the package in the folder @path. */
static char *package_path(const char *path)
{
	struct stat st;
	char *inside;

	if (stat(path, &st) || !S_ISDIR(st.st_mode))
		return strdup(path);
	return asprintf(&inside, "%s/%s", path, QEFF_QPC_FILE_NAME) < 0 ? NULL : inside;
}

int qeff_qpc_open(const char *path, struct qeff_qpc **result, struct qeff_error *err)
{
	struct qeff_qpc *qpc = calloc(1, sizeof(*qpc));
	int ret;

	if (!qpc)
		return qeff_error_set(err, -ENOMEM, "%s: out of memory", path);
	qpc->name = package_path(path);
	if (!qpc->name)
		ret = qeff_error_set(err, -ENOMEM, "%s: out of memory", path);
	else
		ret = qeff_map_open(&qpc->map, qpc->name, err);
	if (!ret) {
		qpc->data = qpc->map.data;
		qpc->size_bytes = qpc->map.size_bytes;
		ret = load(qpc, err);
	}
	if (ret) {
		qeff_qpc_close(qpc);
		return ret;
	}
	*result = qpc;
	return 0;
}

int qeff_qpc_open_memory(const void *data, size_t size_bytes, const char *name,
			 struct qeff_qpc **result, struct qeff_error *err)
{
	struct qeff_qpc *qpc = calloc(1, sizeof(*qpc));
	int ret;

	if (!qpc)
		return qeff_error_set(err, -ENOMEM, "%s: out of memory", name);
	qpc->data = data;
	qpc->size_bytes = size_bytes;
	qpc->name = strdup(name);
	ret = qpc->name ? load(qpc, err) : qeff_error_set(err, -ENOMEM, "%s: out of memory", name);
	if (ret) {
		qeff_qpc_close(qpc);
		return ret;
	}
	*result = qpc;
	return 0;
}

void qeff_qpc_close(struct qeff_qpc *qpc)
{
	if (!qpc)
		return;
	qeff_netdesc_free(qpc->netdesc);
	qeff_metadata_free(qpc->metadata);
	qeff_map_close(&qpc->map);
	free(qpc->name);
	free(qpc);
}

const char *qeff_qpc_path(const struct qeff_qpc *qpc)
{
	return qpc->name;
}

const void *qeff_qpc_data(const struct qeff_qpc *qpc, size_t *size_bytes)
{
	*size_bytes = qpc->size_bytes;
	return qpc->data;
}

uint32_t qeff_qpc_num_segments(const struct qeff_qpc *qpc)
{
	return qpc->container.num_segments;
}

const struct qeff_segment *qeff_qpc_segment_at(const struct qeff_qpc *qpc, uint32_t index)
{
	return index < qpc->container.num_segments ? &qpc->container.segments[index] : NULL;
}

const struct qeff_segment *qeff_qpc_segment(const struct qeff_qpc *qpc, const char *name)
{
	return qeff_container_find(&qpc->container, name);
}

int qeff_qpc_network(const struct qeff_qpc *qpc, const struct qeff_network **network,
		     struct qeff_error *err)
{
	if (!qpc->netdesc)
		return kept(qpc, &qpc->netdesc_error, err);
	*network = qeff_netdesc_network(qpc->netdesc);
	return 0;
}

int qeff_qpc_metadata(const struct qeff_qpc *qpc, const struct qeff_metadata **metadata,
		      struct qeff_error *err)
{
	if (!qpc->metadata)
		return kept(qpc, &qpc->metadata_error, err);
	*metadata = qpc->metadata;
	return 0;
}

int qeff_qpc_program(const struct qeff_qpc *qpc, const struct qeff_program **program,
		     struct qeff_error *err)
{
	if (!qpc->metadata)
		return kept(qpc, &qpc->metadata_error, err);
	*program = &qpc->program;
	return 0;
}

/* What the segment holds must find room in what the descriptor asks for. */
static int check_room(const struct qeff_qpc *qpc, const char *part, uint64_t size_bytes,
		      uint64_t space_bytes, struct qeff_error *err)
{
	if (size_bytes <= space_bytes)
		return 0;
	return qeff_error_set(
		err, -EINVAL,
		"%s: segment \"%s\" holds %llu %s bytes, segment \"%s\" makes room for %llu",
		qpc->name, QEFF_SEGMENT_CONSTANTS, (unsigned long long)size_bytes, part,
		QEFF_SEGMENT_CONSTANTS_DESC, (unsigned long long)space_bytes);
}

int qeff_qpc_constants(const struct qeff_qpc *qpc, struct qeff_constants *constants,
		       struct qeff_error *err)
{
	const struct qeff_segment *descriptor = qeff_qpc_segment(qpc, QEFF_SEGMENT_CONSTANTS_DESC);
	const struct qeff_segment *data = qeff_qpc_segment(qpc, QEFF_SEGMENT_CONSTANTS);
	struct qeff_constants_desc desc = { 0 };
	int ret = 0;

	*constants = (struct qeff_constants){ 0 };
	if (descriptor)
		ret = qeff_constants_desc_parse(descriptor->data, (size_t)descriptor->size_bytes,
						&desc, err);
	if (ret)
		return qeff_error_prefix(err, ret, "%s", qpc->name);
	constants->static_space_bytes = desc.static_bytes;
	constants->dynamic_space_bytes = desc.dynamic_bytes;
	constants->static_ecc = desc.static_ecc;
	constants->dynamic_ecc = desc.dynamic_ecc;
	if (!data)
		return 0;
	constants->static_size_bytes = data->split_bytes;
	constants->dynamic_size_bytes = data->size_bytes - data->split_bytes;
	if (constants->static_size_bytes)
		constants->static_data = data->data;
	if (constants->dynamic_size_bytes)
		constants->dynamic_data = (const uint8_t *)data->data + data->split_bytes;
	ret = check_room(qpc, "static", constants->static_size_bytes, desc.static_bytes, err);
	if (!ret)
		ret = check_room(qpc, "dynamic", constants->dynamic_size_bytes, desc.dynamic_bytes,
				 err);
	return ret;
}
