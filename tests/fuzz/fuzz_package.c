/* SPDX-License-Identifier: MIT */
/*
 * A package: opened and looked at through every function that shows a part of it, verified, and,
 * where it holds, loaded on a software card, which validates image and program, for one inference
 * of each specialisation and a few tokens of text. The card must get back all it gave.
 */
#include "fuzz.h"

#include <qeff/classify.h>
#include <qeff/embed.h>
#include <qeff/generate.h>
#include <qeff/qpc.h>
#include <qeff/session.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME	   "input.qpc"
#define TIMEOUT_MS 40
#define MAX_SPECS  4

static uint64_t touched;

static void touch(const void *data, uint64_t size)
{
	for (uint64_t i = 0; i < size; i++)
		touched += ((const uint8_t *)data)[i];
}

static void touch_text(const char *text)
{
	touch(text, strlen(text));
}

static void touch_shape(const struct qeff_shape *shape)
{
	touch(shape->dims, sizeof(*shape->dims) * shape->num_dims);
	touch_text(qeff_type_name(shape->type));
	touched += shape->size_bytes;
}

static void look_at_network(const struct qeff_qpc *qpc)
{
	const struct qeff_network *network;
	struct qeff_error err = { 0 };
	int rc = qeff_qpc_network(qpc, &network, &err);

	if (rc) {
		fuzz_require(err.code == rc && strstr(err.message, NAME), "network: %d, \"%s\"", rc,
			     err.message);
		return;
	}
	touch_text(network->name);
	for (uint32_t i = 0; i < qeff_network_num_bindings(network); i++) {
		touch_text(network->bindings[i].name);
		touch_shape(&network->bindings[i].shape);
		for (uint32_t s = 0; s < network->num_specialisations; s++)
			touch_shape(qeff_network_shape(network, s, i));
	}
	touch(network->dma_buffers, sizeof(*network->dma_buffers) * network->num_dma_buffers);
}

static void look_at(const struct qeff_qpc *qpc)
{
	const struct qeff_program *program;
	struct qeff_constants constants;
	struct qeff_error err = { 0 };
	const void *whole;
	size_t size;
	int rc;

	whole = qeff_qpc_data(qpc, &size);
	touch(whole, size);
	for (uint32_t i = 0; i < qeff_qpc_num_segments(qpc); i++) {
		const struct qeff_segment *segment = qeff_qpc_segment_at(qpc, i);

		touch_text(segment->name);
		touch(segment->data, segment->size_bytes);
		fuzz_require(qeff_qpc_segment(qpc, segment->name) == segment, "segment %u", i);
	}
	look_at_network(qpc);
	rc = qeff_qpc_program(qpc, &program, &err);
	if (rc)
		fuzz_require(err.code == rc && strstr(err.message, NAME), "program: %d, \"%s\"", rc,
			     err.message);
	else {
		touch_text(program->metadata_section);
		touch_text(program->metadata_form);
		touch_text(program->network_name);
	}
	err = (struct qeff_error){ 0 };
	rc = qeff_qpc_constants(qpc, &constants, &err);
	if (rc) {
		fuzz_require(err.code == rc && strstr(err.message, NAME), "constants: %d, \"%s\"",
			     rc, err.message);
	} else {
		touch(constants.static_data, constants.static_size_bytes);
		touch(constants.dynamic_data, constants.dynamic_size_bytes);
	}
}

/* ---- on a card ---- */

static struct qeff_device *device;
static struct qeff_device_status idle;

static void open_card(void)
{
	struct qeff_error err = { 0 };

	setenv("QEFF_SOFTCARDS", "nsps=4,ddr=64M", 1);
	setenv("XDG_RUNTIME_DIR", fuzz_folder(), 1);
	fuzz_require(!qeff_device_open("soft", &device, &err), "%s", err.message);
	fuzz_require(!qeff_device_query(device, &idle, &err), "%s", err.message);
}

static void require_idle_card(void)
{
	struct qeff_device_status now;
	struct qeff_error err = { 0 };

	fuzz_require(!qeff_device_query(device, &now, &err), "%s", err.message);
	fuzz_require(now.nsp_free == idle.nsp_free && now.ddr_free_bytes == idle.ddr_free_bytes &&
			     now.vc_free == idle.vc_free && now.mcid_free == idle.mcid_free &&
			     now.semaphore_free == idle.semaphore_free &&
			     now.constants_loaded == idle.constants_loaded &&
			     now.networks_loaded == idle.networks_loaded &&
			     now.networks_active == idle.networks_active,
		     "the card kept something");
}

/* What stands in an input: small integers, or floats near one. */
static void fill(const struct qeff_tensor *tensor)
{
	size_t width = qeff_type_size_bytes(tensor->type);

	memset(tensor->data, 0, tensor->size_bytes);
	for (size_t i = 0; width && i < tensor->size_bytes / width; i++)
		((uint8_t *)tensor->data)[i * width] = (uint8_t)(i % 4);
}

/* Inputs in the shapes of @spec; says whether all could be set. */
static bool fill_inputs(struct qeff_session *session, uint32_t spec)
{
	const struct qeff_network *network = qeff_session_network(session);
	bool all = true;

	for (uint32_t i = 0; i < network->num_inputs; i++) {
		const struct qeff_shape *shape = qeff_network_shape(network, spec, i);
		struct qeff_error err = { 0 };
		struct qeff_tensor tensor;
		int rc;

		if (network->bindings[i].is_retained ||
		    !strcmp(network->bindings[i].name, QEFF_CONTROL_BINDING))
			continue;
		rc = qeff_session_input(session, network->bindings[i].name, shape->dims,
					shape->num_dims, &tensor, &err);
		if (!rc)
			fill(&tensor);
		else
			fuzz_require(err.code == rc && err.message[0], "input: %d", rc);
		all = all && !rc;
	}
	return all;
}

static void run_session(struct qeff_session *session)
{
	const struct qeff_network *network = qeff_session_network(session);

	for (uint32_t s = 0; s < network->num_specialisations && s < MAX_SPECS; s++) {
		struct qeff_error err = { 0 };
		struct qeff_tensor tensor;
		int rc;

		if (!fill_inputs(session, s))
			continue;
		rc = qeff_session_run(session, &err);
		if (rc) {
			fuzz_require(err.code == rc && err.message[0], "run: %d", rc);
			return;
		}
		for (uint32_t i = 0; i < network->num_outputs; i++)
			if (!qeff_session_output(session,
						 network->bindings[network->num_inputs + i].name,
						 &tensor, &err))
				touch(tensor.data, tensor.size_bytes);
	}
}

static void run_text(struct qeff_session *session)
{
	const struct qeff_generate_options options = { .max_new_tokens = 2 };
	static const char *const texts[] = { "ab c" };
	struct qeff_generation generation;
	struct qeff_generator *generator = NULL;
	struct qeff_embedder *embedder = NULL;
	struct qeff_embeddings embeddings;
	struct qeff_classifier *classifier = NULL;
	struct qeff_classes classes;
	struct qeff_error err = { 0 };
	int rc = qeff_generator_open(session, &generator, &err);

	fuzz_require(!rc || (err.code == rc && err.message[0]), "generator: %d", rc);
	if (!rc && !qeff_generate_text(generator, texts[0], &options, &generation, &err))
		qeff_generation_free(&generation);
	qeff_generator_close(generator);
	err = (struct qeff_error){ 0 };
	rc = qeff_embedder_open(session, &embedder, &err);
	fuzz_require(!rc || (err.code == rc && err.message[0]), "embedder: %d", rc);
	if (!rc && !qeff_embed(embedder, texts, 1, &embeddings, &err))
		qeff_embeddings_free(&embeddings);
	qeff_embedder_close(embedder);
	err = (struct qeff_error){ 0 };
	rc = qeff_classifier_open(session, &classifier, &err);
	fuzz_require(!rc || (err.code == rc && err.message[0]), "classifier: %d", rc);
	if (!rc && !qeff_classify(classifier, texts, 1, &classes, &err))
		qeff_classes_free(&classes);
	qeff_classifier_close(classifier);
}

static void load(const uint8_t *data, size_t size)
{
	const struct qeff_session_options options = { .timeout_ms = TIMEOUT_MS };
	const char *path = fuzz_write(NAME, data, size);
	struct qeff_session *session = NULL;
	struct qeff_error err = { 0 };
	int rc;

	if (!device)
		open_card();
	rc = qeff_session_open(device, path, &options, &session, &err);
	if (rc == -ENOMEM || rc == -ENOSPC) {
		/* the card is small: not a fault of the package */
		fuzz_require(err.code == rc && err.message[0], "session: %d", rc);
		fuzz_num_refused++;
	} else if (rc) {
		fuzz_refused(rc, &err, "");
	} else {
		run_session(session);
		run_text(session);
		fuzz_ran();
	}
	qeff_session_close(session);
	require_idle_card();
}

size_t fuzz_regions(const uint8_t *data, size_t size, struct fuzz_region *regions)
{
	const struct fuzz_region header = { 0, size < 336 ? size : 336 };
	struct qeff_qpc *qpc;
	size_t count = 0;

	regions[count++] = header;
	if (qeff_qpc_open_memory(data, size, NAME, &qpc, NULL))
		return count;
	for (uint32_t i = 0; i < qeff_qpc_num_segments(qpc); i++) {
		const struct qeff_segment *segment = qeff_qpc_segment_at(qpc, i);
		size_t hot = segment->size_bytes;

		/* of the constants, the program, which says itself how long it is */
		if (!strcmp(segment->name, QEFF_SEGMENT_CONSTANTS) && hot > 16) {
			uint64_t program;

			memcpy(&program, (const uint8_t *)segment->data + 8, sizeof(program));
			if (program < hot)
				hot = program;
			/* its header twice: every table hangs on it */
			regions[count++] =
				(struct fuzz_region){ segment->file_offset, hot < 160 ? hot : 160 };
		}
		if (hot)
			regions[count++] = (struct fuzz_region){ segment->file_offset, hot };
	}
	qeff_qpc_close(qpc);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qeff_error err = { 0 };
	struct qeff_qpc *qpc;
	int rc = qeff_qpc_open_memory(data, size, NAME, &qpc, &err);

	if (rc) {
		fuzz_refused(rc, &err, NAME);
		return 0;
	}
	look_at(qpc);
	rc = qeff_qpc_verify(qpc, &err);
	qeff_qpc_close(qpc);
	if (rc)
		fuzz_refused(rc, &err, NAME);
	else
		load(data, size);
	return 0;
}
