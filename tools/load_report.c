/* SPDX-License-Identifier: MIT */
/* What qeff-load prints about a package on a card. */
#include "load.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

const char *dims_text(const int32_t *dims, uint32_t num_dims, char *text, size_t size)
{
	size_t used = 0;

	snprintf(text, size, "%s", num_dims ? "" : "scalar");
	for (uint32_t i = 0; i < num_dims && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%" PRId32, i ? "x" : "",
					 dims[i]);
	return text;
}

static void print_binding(const struct qeff_network *network, uint32_t i)
{
	const struct qeff_binding *binding = &network->bindings[i];
	const struct qeff_shape *before = NULL;
	char text[256];

	printf("%-10s %-24s %-8s ", binding->is_output ? "output" : "input", binding->name,
	       qeff_type_name(binding->shape.type));
	for (uint32_t s = 0; s < network->num_specialisations; s++) {
		const struct qeff_shape *shape = qeff_network_shape(network, s, i);

		if (before && before->num_dims == shape->num_dims &&
		    !memcmp(before->dims, shape->dims, shape->num_dims * sizeof(*shape->dims)))
			continue;
		printf("%s%s", before ? " or " : "",
		       dims_text(shape->dims, shape->num_dims, text, sizeof(text)));
		before = shape;
	}
	printf("\n");
}

/* "0-15", "0,2,5-7" */
static const char *mask_text(uint32_t mask, char *text, size_t size)
{
	size_t used = 0;

	text[0] = 0;
	for (unsigned int first = 0, last; first < 32; first = last + 1) {
		last = first;
		if (!(mask >> first & 1))
			continue;
		while (last < 31 && mask >> (last + 1) & 1)
			last++;
		used += (size_t)snprintf(text + used, size - used, "%s%u", used ? "," : "", first);
		if (last > first)
			used += (size_t)snprintf(text + used, size - used, "-%u", last);
	}
	return text;
}

void report_session(const struct qeff_session *session)
{
	const struct qeff_network *network = qeff_session_network(session);
	const struct qeff_activation_info *activation = qeff_session_activation(session);
	const struct qeff_device_info *device = qeff_device_get_info(qeff_session_device(session));
	uint32_t retained = 0;
	char text[128];

	printf("package    %s (%s), %" PRIu32 " specialisation%s\n",
	       qeff_qpc_path(qeff_session_qpc(session)), network->name,
	       network->num_specialisations, network->num_specialisations == 1 ? "" : "s");
	printf("card       %s%s, %" PRIu32 " NSPs%s%s, channel %" PRIu32 "\n", device->name,
	       device->kind == QEFF_DEVICE_SOFT ? " (software)" : "", activation->num_nsps,
	       activation->nsp_mask ? ": " : "",
	       mask_text(activation->nsp_mask, text, sizeof(text)), activation->dbc_id);
	printf("memory     %.1f MiB constants, %.1f MiB input, output, state and work\n",
	       (double)activation->constants_bytes / (1 << 20),
	       (double)activation->ddr_bytes / (1 << 20));
	for (uint32_t i = 0; i < qeff_network_num_bindings(network); i++) {
		if (network->bindings[i].is_retained)
			retained++;
		else if (strcmp(network->bindings[i].name, QEFF_CONTROL_BINDING))
			print_binding(network, i);
	}
	if (retained)
		printf("state      %" PRIu32 " bindings stay on the card\n", retained);
}

void report_times(const char *what, const double *seconds, size_t count)
{
	double min = seconds[0], max = seconds[0], sum = 0;

	for (size_t i = 0; i < count; i++) {
		sum += seconds[i];
		min = seconds[i] < min ? seconds[i] : min;
		max = seconds[i] > max ? seconds[i] : max;
	}
	if (count == 1)
		printf("%-10s %.3f ms\n", what, sum * 1e3);
	else
		printf("%-10s %.3f ms on average of %zu, %.3f to %.3f\n", what,
		       sum / (double)count * 1e3, count, min * 1e3, max * 1e3);
}

void report_stats(const struct qeff_session *session, json_t *json, bool print)
{
	const struct qeff_inference_stats *stats = qeff_session_total_stats(session);
	json_t *nsps = json_array();
	uint64_t macs = 0, bytes = 0;

	for (uint32_t i = 0; i < stats->num_nsps; i++) {
		json_array_append_new(nsps, json_pack("{s:I, s:I}", "macs",
						      (json_int_t)stats->nsp[i].macs, "bytes",
						      (json_int_t)stats->nsp[i].bytes));
		macs += stats->nsp[i].macs;
		bytes += stats->nsp[i].bytes;
	}
	json_object_set_new(json, "nsps", nsps);
	json_object_set_new(json, "device_s", json_real((double)stats->device_us / 1e6));
	if (!print)
		return;
	printf("card time  %.3f ms\n", (double)stats->device_us / 1e3);
	if (!stats->num_nsps)
		return;
	printf("work       %.1f million MACs, %.1f MB on %" PRIu32 " NSPs:\n", (double)macs / 1e6,
	       (double)bytes / 1e6, stats->num_nsps);
	for (uint32_t i = 0; i < stats->num_nsps; i++)
		printf("  NSP %-4" PRIu32 " %10.2f million MACs  %10.2f MB\n", i,
		       (double)stats->nsp[i].macs / 1e6, (double)stats->nsp[i].bytes / 1e6);
}
