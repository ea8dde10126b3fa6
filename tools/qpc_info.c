/* SPDX-License-Identifier: MIT */
/* qeff-qpc info: what is in a package, as JSON and for people. */
#include "qpc_tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- JSON ---- */

static json_t *json_dims(const struct qeff_shape *shape)
{
	json_t *dims = json_array();

	for (uint32_t i = 0; i < shape->num_dims; i++)
		json_array_append_new(dims, json_integer(shape->dims[i]));
	return dims;
}

static json_t *json_segments(const struct qeff_qpc *qpc)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < qeff_qpc_num_segments(qpc); i++) {
		const struct qeff_segment *s = qeff_qpc_segment_at(qpc, i);

		json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o}", "name", s->name,
						      "offset", number(s->file_offset),
						      "size_bytes", number(s->size_bytes),
						      "split_bytes", number(s->split_bytes)));
	}
	return list;
}

static json_t *json_binding(const struct qeff_binding *b)
{
	json_t *object =
		json_pack("{s:s, s:s, s:o, s:o, s:b, s:b, s:b}", "name", b->name, "type",
			  qeff_type_name(b->shape.type), "dims", json_dims(&b->shape), "size_bytes",
			  number(b->shape.size_bytes), "retained", b->is_retained, "partial",
			  b->is_partial, "host_transform", b->needs_host_transform);

	if (b->dma_buffer != QEFF_NO_DMA_BUFFER) {
		json_object_set_new(object, "dma_buffer", json_integer(b->dma_buffer));
		json_object_set_new(object, "dma_offset", json_integer(b->dma_offset));
		json_object_set_new(object, "dma_size_bytes", number(b->dma_size_bytes));
	}
	if (b->scale != 0) {
		json_object_set_new(object, "scale", json_real((double)b->scale));
		json_object_set_new(object, "offset", json_integer(b->offset));
	}
	return object;
}

static json_t *json_bindings(const struct qeff_network *n, uint32_t first, uint32_t count)
{
	json_t *list = json_array();

	for (uint32_t i = first; i < first + count; i++)
		json_array_append_new(list, json_binding(&n->bindings[i]));
	return list;
}

static json_t *json_specialisations(const struct qeff_network *n)
{
	json_t *list = json_array();

	for (uint32_t s = 0; s < n->num_specialisations; s++) {
		json_t *inputs = json_object(), *outputs = json_object();

		for (uint32_t b = 0; b < qeff_network_num_bindings(n); b++)
			json_object_set_new(b < n->num_inputs ? inputs : outputs,
					    n->bindings[b].name,
					    json_dims(qeff_network_shape(n, s, b)));
		json_array_append_new(
			list, json_pack("{s:o, s:o}", "inputs", inputs, "outputs", outputs));
	}
	return list;
}

static json_t *json_network(const struct qeff_network *n)
{
	json_t *buffers = json_array(), *object;

	for (uint32_t i = 0; i < n->num_dma_buffers; i++)
		json_array_append_new(
			buffers, json_pack("{s:I, s:s}", "size_bytes",
					   (json_int_t)n->dma_buffers[i].size_bytes, "direction",
					   n->dma_buffers[i].is_output ? "out" : "in"));
	object = json_pack("{s:s, s:I, s:I, s:I, s:I, s:i, s:o, s:o, s:o, s:o}", "name", n->name,
			   "version_major", (json_int_t)n->version_major, "version_minor",
			   (json_int_t)n->version_minor, "nsps", (json_int_t)n->num_nsps, "threads",
			   (json_int_t)n->num_threads, "batch_size", n->batch_size, "inputs",
			   json_bindings(n, 0, n->num_inputs), "outputs",
			   json_bindings(n, n->num_inputs, n->num_outputs), "dma_buffers", buffers,
			   "specialisations", json_specialisations(n));
	if (n->stats_buffer != QEFF_NO_DMA_BUFFER)
		json_object_set_new(object, "stats_buffer", json_integer(n->stats_buffer));
	return object;
}

static json_t *json_program(const struct qeff_program *p)
{
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{ "version_major", p->version_major },
		{ "version_minor", p->version_minor },
		{ "exec_context_major", p->exec_context_major },
		{ "hw_version_major", p->hw_version_major },
		{ "hw_version_minor", p->hw_version_minor },
		{ "nsps", p->num_nsps },
		{ "semaphores", p->num_semaphores },
		{ "dma_requests", p->num_dma_requests },
		{ "multicast_entries", p->num_multicast_entries },
		{ "threads", p->num_threads },
		{ "constant_mappings", p->num_constant_mappings },
		{ "static_shared_ddr_bytes", p->static_shared_ddr_bytes },
		{ "dynamic_shared_ddr_bytes", p->dynamic_shared_ddr_bytes },
		{ "static_constants_bytes", p->static_constants_bytes },
		{ "dynamic_constants_bytes", p->dynamic_constants_bytes },
		{ "heap_bytes", p->heap_bytes },
		{ "l2_cached_ddr_bytes", p->l2_cached_ddr_bytes },
		{ "l2tcm_bytes", p->l2tcm_bytes },
		{ "l2tcm_init_bytes", p->l2tcm_init_bytes },
		{ "vtcm_bytes", p->vtcm_bytes },
	};
	json_t *object = json_pack("{s:s, s:s, s:s, s:b, s:b}", "network_name", p->network_name,
				   "metadata_section", p->metadata_section, "metadata_form",
				   p->metadata_form, "has_code",
				   p->exec_context_major != QEFF_NO_EXEC_CONTEXT,
				   "single_vtcm_page", p->single_vtcm_page);

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		json_object_set_new(object, numbers[i].name, number(numbers[i].value));
	return object;
}

static json_t *json_constants(const struct qeff_constants *c)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:b, s:b}", "static_bytes",
			 number(c->static_size_bytes), "dynamic_bytes",
			 number(c->dynamic_size_bytes), "static_space_bytes",
			 number(c->static_space_bytes), "dynamic_space_bytes",
			 number(c->dynamic_space_bytes), "static_ecc", c->static_ecc, "dynamic_ecc",
			 c->dynamic_ecc);
}

/* ---- for people ---- */

/* "1.5 MiB": sizes from a kibibyte on, beside the exact number. */
static const char *human(uint64_t bytes, char buffer[32])
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	int unit = -1;

	while (value >= 1024 && unit < 5) {
		value /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(buffer, 32, "%" PRIu64 " B", bytes);
	else
		snprintf(buffer, 32, "%.1f %s", value, units[unit]);
	return buffer;
}

static void print_dims(const struct qeff_shape *shape)
{
	putchar('[');
	for (uint32_t i = 0; i < shape->num_dims; i++)
		printf("%s%" PRId32, i ? ", " : "", shape->dims[i]);
	putchar(']');
}

static bool is_checksum(const struct qeff_segment *s)
{
	size_t length = strlen(s->name);

	return s->size_bytes == 4 && length > 4 && !strcmp(s->name + length - 4, ".crc");
}

static void print_segments(const struct qeff_qpc *qpc)
{
	char buffer[32];
	size_t size;

	qeff_qpc_data(qpc, &size);
	printf("%s: %zu bytes (%s), %u segments\n", qeff_qpc_path(qpc), size, human(size, buffer),
	       qeff_qpc_num_segments(qpc));
	printf("\n  %-24s %14s %14s\n", "segment", "offset", "bytes");
	for (uint32_t i = 0; i < qeff_qpc_num_segments(qpc); i++) {
		const struct qeff_segment *s = qeff_qpc_segment_at(qpc, i);

		printf("  %-24s %14" PRIu64 " %14" PRIu64, s->name, s->file_offset, s->size_bytes);
		if (!strcmp(s->name, QEFF_SEGMENT_CONSTANTS))
			printf("  static %" PRIu64 ", dynamic %" PRIu64, s->split_bytes,
			       s->size_bytes - s->split_bytes);
		if (is_checksum(s)) {
			uint32_t value;

			memcpy(&value, s->data, sizeof(value));
			printf("  checksum 0x%08" PRIx32, value);
		}
		putchar('\n');
	}
}

static void print_binding(const struct qeff_binding *b)
{
	char buffer[32];

	printf("  %-28s %-8s ", b->name, qeff_type_name(b->shape.type));
	print_dims(&b->shape);
	printf("  %s", human(b->shape.size_bytes, buffer));
	if (b->is_retained)
		printf("  stays on the card");
	else
		printf("  in DMA buffer %" PRIu32 " at %" PRIu32, b->dma_buffer, b->dma_offset);
	if (b->is_partial)
		printf(", may be partial");
	if (b->needs_host_transform)
		printf(", transformed by the host");
	if (b->scale != 0)
		printf(", scale %g offset %" PRId32, (double)b->scale, b->offset);
	putchar('\n');
}

/* Of several specialisations, the bindings whose shape is not the same in all of them. */
static bool shape_varies(const struct qeff_network *n, uint32_t binding)
{
	const struct qeff_shape *first = qeff_network_shape(n, 0, binding);

	for (uint32_t s = 1; s < n->num_specialisations; s++) {
		const struct qeff_shape *other = qeff_network_shape(n, s, binding);

		if (other->num_dims != first->num_dims ||
		    (first->num_dims &&
		     memcmp(other->dims, first->dims, first->num_dims * sizeof(*first->dims))))
			return true;
	}
	return false;
}

static void print_specialisations(const struct qeff_network *n)
{
	if (n->num_specialisations == 1)
		return;
	printf("\nSpecialisations (bindings whose shape varies)\n");
	for (uint32_t s = 0; s < n->num_specialisations; s++) {
		const char *before = "";

		printf("  %" PRIu32 ": ", s);
		for (uint32_t b = 0; b < qeff_network_num_bindings(n); b++) {
			if (!shape_varies(n, b))
				continue;
			printf("%s%s ", before, n->bindings[b].name);
			print_dims(qeff_network_shape(n, s, b));
			before = "  ";
		}
		putchar('\n');
	}
}

static void print_network(const struct qeff_network *n)
{
	char buffer[32];

	printf("\nNetwork \"%s\", descriptor %" PRIu32 ".%" PRIu32 ": %" PRIu32
	       " NSPs, batch size %" PRId32 "\n",
	       n->name, n->version_major, n->version_minor, n->num_nsps, n->batch_size);
	printf("\nInputs\n");
	for (uint32_t i = 0; i < n->num_inputs; i++)
		print_binding(&n->bindings[i]);
	printf("\nOutputs\n");
	for (uint32_t i = n->num_inputs; i < qeff_network_num_bindings(n); i++)
		print_binding(&n->bindings[i]);
	print_specialisations(n);
	printf("\nDMA buffers\n");
	for (uint32_t i = 0; i < n->num_dma_buffers; i++)
		printf("  %-4" PRIu32 " %-4s %10" PRIu32 " bytes (%s)%s\n", i,
		       n->dma_buffers[i].is_output ? "out" : "in", n->dma_buffers[i].size_bytes,
		       human(n->dma_buffers[i].size_bytes, buffer),
		       i == n->stats_buffer ? ", with statistics" : "");
}

static void print_program(const struct qeff_program *p)
{
	const struct {
		const char *name;
		uint64_t bytes;
	} sizes[] = {
		{ "shared DDR, static", p->static_shared_ddr_bytes },
		{ "shared DDR, dynamic", p->dynamic_shared_ddr_bytes },
		{ "constants, static", p->static_constants_bytes },
		{ "constants, dynamic", p->dynamic_constants_bytes },
		{ "heap", p->heap_bytes },
		{ "cached DDR per NSP", p->l2_cached_ddr_bytes },
		{ "L2TCM per NSP", p->l2tcm_bytes },
		{ "  of it initialised", p->l2tcm_init_bytes },
		{ "VTCM per NSP", p->vtcm_bytes },
	};
	char buffer[32];

	printf("\nProgram \"%s\", metadata %u.%u (%s, section \"%s\")\n", p->network_name,
	       p->version_major, p->version_minor, p->metadata_form, p->metadata_section);
	printf("  for hardware %u.%u, ", p->hw_version_major, p->hw_version_minor);
	if (p->exec_context_major == QEFF_NO_EXEC_CONTEXT)
		printf("without code for a real card\n");
	else
		printf("execution context %u\n", p->exec_context_major);
	printf("  %" PRIu32 " NSPs, %" PRIu32 " threads each, %" PRIu32 " semaphores, %" PRIu32
	       " DMA requests, %" PRIu32 " multicast ids, %" PRIu32 " constant mappings\n",
	       p->num_nsps, p->num_threads, p->num_semaphores, p->num_dma_requests,
	       p->num_multicast_entries, p->num_constant_mappings);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (sizes[i].bytes)
			printf("  %-22s %14" PRIu64 " bytes (%s)\n", sizes[i].name, sizes[i].bytes,
			       human(sizes[i].bytes, buffer));
}

/* Whatever part can be read is shown; the others say why not. */
int info(const struct qeff_qpc *qpc, const struct options *options)
{
	struct qeff_error errors[3] = { 0 };
	const struct qeff_network *network = NULL;
	const struct qeff_program *program = NULL;
	struct qeff_constants constants;
	bool bad = false;

	qeff_qpc_network(qpc, &network, &errors[0]);
	qeff_qpc_program(qpc, &program, &errors[1]);
	qeff_qpc_constants(qpc, &constants, &errors[2]);
	if (options->json) {
		json_t *object =
			json_pack("{s:s, s:o, s:o}", "path", qeff_qpc_path(qpc), "segments",
				  json_segments(qpc), "constants", json_constants(&constants));

		if (network)
			json_object_set_new(object, "network", json_network(network));
		if (program)
			json_object_set_new(object, "program", json_program(program));
		bad = print_json(object);
	} else {
		print_segments(qpc);
		if (network)
			print_network(network);
		if (program)
			print_program(program);
		fflush(stdout);
	}
	for (int i = 0; i < 3; i++) {
		if (errors[i].code)
			complain("%s", errors[i].message);
		bad |= errors[i].code != 0;
	}
	return bad ? EXIT_BAD : 0;
}
