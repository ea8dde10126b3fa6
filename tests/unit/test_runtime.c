/* SPDX-License-Identifier: MIT */
/*
 * Programs and activations on a software card: what they take and give back, refusals in words, and
 * the slices that DMA requests become.
 */
#include "runtime/runtime.h"
#include "runtime_package.h"
#include "unit.h"

#include <unistd.h>

static char path[64];

static struct qeff_device *open_card(const char *shape)
{
	struct qeff_error err = { 0 };
	struct qeff_device *device = NULL;

	setenv("QEFF_SOFTCARDS", shape, 1);
	CU_ASSERT_EQUAL_FATAL(qeff_device_open("soft0", &device, &err), 0);
	return device;
}

static struct qeff_device_status status_of(struct qeff_device *device)
{
	struct qeff_device_status status = { 0 };

	CU_ASSERT_EQUAL(qeff_device_query(device, &status, NULL), 0);
	return status;
}

static void load_and_unload(void)
{
	struct qeff_device *device = open_card("nsps=4,ddr=64M");
	struct qeff_device_status before = status_of(device), during;
	struct qeff_loaded_program *program;
	struct qeff_activation *activation;
	const struct qeff_activation_info *info;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL_FATAL(qeff_program_load(device, path, &program, &err), 0);
	CU_ASSERT_STRING_EQUAL(qeff_program_network(program)->name, "echo");
	CU_ASSERT_STRING_EQUAL(qeff_qpc_path(qeff_program_qpc(program)), path);
	during = status_of(device);
	CU_ASSERT_EQUAL(during.nsp_free, 4);
	CU_ASSERT_EQUAL(during.constants_loaded, 1);
	CU_ASSERT_EQUAL(during.networks_loaded, 1);

	CU_ASSERT_EQUAL_FATAL(qeff_program_activate(program, &activation, &err), 0);
	info = qeff_activation_get_info(activation);
	CU_ASSERT_EQUAL(info->num_nsps, PACKAGE_NSPS);
	CU_ASSERT_EQUAL(info->elements_per_inference, 2);
	CU_ASSERT_EQUAL(info->ddr_bytes, PACKAGE_DDR_BYTES);
	CU_ASSERT_EQUAL(info->constants_bytes, sizeof(struct package_program));
	during = status_of(device);
	CU_ASSERT_EQUAL(during.nsp_free, 2);
	CU_ASSERT_EQUAL(during.networks_active, 1);

	qeff_activation_end(activation);
	CU_ASSERT_EQUAL(status_of(device).nsp_free, 4);
	qeff_program_unload(program);
	during = status_of(device);
	CU_ASSERT_EQUAL(during.ddr_free_bytes, before.ddr_free_bytes);
	CU_ASSERT_EQUAL(during.vc_free, before.vc_free);
	CU_ASSERT_EQUAL(during.semaphore_free, before.semaphore_free);
	CU_ASSERT_EQUAL(during.mcid_free, before.mcid_free);
	CU_ASSERT_EQUAL(during.constants_loaded, 0);
	CU_ASSERT_EQUAL(during.networks_loaded, 0);
	qeff_device_close(device);
}

static void card_too_small(void)
{
	struct qeff_device *device = open_card("nsps=1,ddr=64M");
	struct qeff_loaded_program *program;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(qeff_program_load(device, path, &program, &err), -ENOSPC);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "needs 2 NSPs, card soft0 has 1"));
	qeff_device_close(device);
}

static void no_nsp_free(void)
{
	struct qeff_device *device = open_card("nsps=3,ddr=64M");
	struct qeff_loaded_program *program;
	struct qeff_activation *first, *second;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL_FATAL(qeff_program_load(device, path, &program, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_program_activate(program, &first, &err), 0);
	CU_ASSERT_EQUAL(qeff_program_activate(program, &second, &err), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "takes 2 NSPs; card soft0 has 1 of 3 NSPs"));
	qeff_activation_end(first);
	CU_ASSERT_EQUAL_FATAL(qeff_program_activate(program, &second, &err), 0);
	qeff_activation_end(second);
	qeff_program_unload(program);
	qeff_device_close(device);
}

static void not_a_package(void)
{
	struct qeff_device *device = open_card("nsps=4,ddr=64M");
	struct qeff_loaded_program *program;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL(qeff_program_load(device, "/nonexistent.qpc", &program, &err), -ENOENT);
	CU_ASSERT_EQUAL(qeff_program_load(device, "/proc/self/exe", &program, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "/proc/self/exe"));
	qeff_device_close(device);
}

/* Loading from memory, where nothing can be mapped twice; the device is closed while in use. */
static void from_memory(void)
{
	struct qeff_device *device = open_card("nsps=4,ddr=64M");
	struct qeff_qpc *file, *memory;
	struct qeff_loaded_program *program;
	struct qeff_error err = { 0 };
	size_t size;
	const void *data;
	void *copy;

	CU_ASSERT_EQUAL_FATAL(qeff_qpc_open(path, &file, &err), 0);
	data = qeff_qpc_data(file, &size);
	copy = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
	CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
	memcpy(copy, data, size);
	qeff_qpc_close(file);
	CU_ASSERT_EQUAL_FATAL(qeff_qpc_open_memory(copy, size, "memory", &memory, &err), 0);
	CU_ASSERT_EQUAL_FATAL(qeff_program_load_qpc(device, memory, &program, &err), 0);
	qeff_device_close(device);
	CU_ASSERT_EQUAL(status_of(qeff_program_device(program)).networks_loaded, 1);
	qeff_program_unload(program);
	qeff_qpc_close(memory);
	free(copy);
}

/* ---- slices ---- */

/* A network of three buffers and an activation at given bases, without a card. */
struct bare {
	struct qeff_network network;
	struct qeff_dma_buffer buffers[3];
	struct qeff_binding bindings[3];
	struct qeff_metadata metadata;
	struct qeff_loaded_program program;
	struct qeff_activation activation;
};

static struct bare *make_bare(const struct qeff_md_dma_request *requests, uint32_t count)
{
	struct bare *b = calloc(1, sizeof(*b));
	struct qeff_error err = { 0 };
	struct qeff_qpc *qpc;

	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	CU_ASSERT_EQUAL_FATAL(qeff_qpc_open(path, &qpc, &err), 0); /* for its name */
	b->buffers[0] = (struct qeff_dma_buffer){ .size_bytes = 1000 };
	b->buffers[1] = (struct qeff_dma_buffer){ .size_bytes = 500 };
	b->buffers[2] = (struct qeff_dma_buffer){ .size_bytes = 700, .is_output = true };
	b->network.num_dma_buffers = 3;
	b->network.dma_buffers = b->buffers;
	b->network.bindings = b->bindings;
	b->metadata.num_dma_requests = count;
	b->metadata.dma_requests = requests;
	b->program.qpc = qpc;
	b->program.network = &b->network;
	b->program.metadata = &b->metadata;
	b->program.control = -1;
	b->activation.program = &b->program;
	b->activation.nnc = (struct qeff_nnc_activation){ .dbc_id = 3,
							  .ddr_base = 0x100000000,
							  .dynamic_ddr_base = 0x200000000,
							  .mcid_base = 0x300000000 };
	return b;
}

static void free_bare(struct bare *b)
{
	qeff_qpc_close((struct qeff_qpc *)b->program.qpc);
	qeff_activation_free_slices(&b->activation);
	free(b);
}

static void slices(void)
{
	const struct qeff_md_semaphore_op ops[4] = {
		{ .semaphore = 5, .value = 16, .op = QEFF_MD_SEM_WAIT_EQUAL, .pre = true },
		{ .semaphore = 6, .value = 4095, .op = QEFF_MD_SEM_INIT, .in_fence = true },
		{ .semaphore = 31,
		  .value = 1,
		  .op = QEFF_MD_SEM_WAIT_NONZERO_DEC,
		  .out_fence = true },
		{ .semaphore = 0, .value = 2, .op = QEFF_MD_SEM_DEC },
	};
	const struct qeff_md_doorbell_op bells[3] = {
		{ .offset = 0x10, .data = 7, .multicast_id = 2, .size_code = 0 },
		{ .offset = 0x20, .data = 8, .multicast_id = 0, .size_code = 1 },
		{ .offset = 0x30, .data = 9, .multicast_id = 1, .size_code = 2 },
	};
	const struct qeff_md_dma_request requests[5] = {
		{ .buffer = QEFF_MD_NO_BUFFER, .num_semaphore_ops = 1, .semaphore_ops = ops },
		{ .size_bytes = 600,
		  .device_offset = 64,
		  .device_space = QEFF_MD_SPACE_DDR,
		  .num_semaphore_ops = 4,
		  .semaphore_ops = ops,
		  .num_doorbell_ops = 1,
		  .doorbell_ops = &bells[0] },
		{ .size_bytes = 400,
		  .host_offset = 600,
		  .device_offset = 128,
		  .multicast_id = 3,
		  .device_space = QEFF_MD_SPACE_MULTICAST,
		  .num_doorbell_ops = 1,
		  .doorbell_ops = &bells[1] },
		{ .size_bytes = 500,
		  .buffer = 1,
		  .device_offset = 256,
		  .device_space = QEFF_MD_SPACE_DDR_DYNAMIC,
		  .num_doorbell_ops = 1,
		  .doorbell_ops = &bells[2] },
		{ .size_bytes = 700,
		  .buffer = 2,
		  .device_space = QEFF_MD_SPACE_DDR,
		  .direction = QEFF_MD_FROM_DEVICE },
	};
	struct bare *b = make_bare(requests, 5);
	const struct qaic_attach_slice_entry *s;
	const struct qeff_transfer *t;
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL_FATAL(qeff_activation_make_slices(&b->activation, &err), 0);
	CU_ASSERT_EQUAL_FATAL(b->activation.num_transfers, 3);
	t = b->activation.transfers;
	CU_ASSERT_EQUAL(t[0].buffer, 0);
	CU_ASSERT_EQUAL(t[0].first_slice, 0);
	CU_ASSERT_EQUAL(t[0].num_slices, 3);
	CU_ASSERT_EQUAL(t[0].size_bytes, 1000);
	CU_ASSERT_EQUAL(t[0].direction, QAIC_DIR_TO_DEVICE);
	CU_ASSERT_EQUAL(t[1].buffer, 1);
	CU_ASSERT_EQUAL(t[1].first_slice, 3);
	CU_ASSERT_EQUAL(t[2].buffer, 2);
	CU_ASSERT_EQUAL(t[2].direction, QAIC_DIR_FROM_DEVICE);

	s = b->activation.slices;
	CU_ASSERT_EQUAL(s[0].size, 0);
	CU_ASSERT_EQUAL(s[0].sem0.cmd, 4);
	CU_ASSERT_EQUAL(s[1].size, 600);
	CU_ASSERT_EQUAL(s[1].offset, 0);
	CU_ASSERT_EQUAL(s[1].dev_addr, 0x100000040);
	CU_ASSERT_EQUAL(s[1].sem0.val, 16);
	CU_ASSERT_EQUAL(s[1].sem0.index, 5);
	CU_ASSERT_EQUAL(s[1].sem0.presync, 1);
	CU_ASSERT_EQUAL(s[1].sem0.cmd, 4);
	CU_ASSERT_EQUAL(s[1].sem0.flags, 0);
	CU_ASSERT_EQUAL(s[1].sem1.val, 4095);
	CU_ASSERT_EQUAL(s[1].sem1.presync, 0);
	CU_ASSERT_EQUAL(s[1].sem1.cmd, 1);
	CU_ASSERT_EQUAL(s[1].sem1.flags, 2);
	CU_ASSERT_EQUAL(s[1].sem2.index, 31);
	CU_ASSERT_EQUAL(s[1].sem2.cmd, 6);
	CU_ASSERT_EQUAL(s[1].sem2.flags, 1);
	CU_ASSERT_EQUAL(s[1].sem3.cmd, 3);
	CU_ASSERT_EQUAL(s[1].db_addr, 0x301000010);
	CU_ASSERT_EQUAL(s[1].db_data, 7);
	CU_ASSERT_EQUAL(s[1].db_len, 8);
	CU_ASSERT_EQUAL(s[2].dev_addr, 0x301800080);
	CU_ASSERT_EQUAL(s[2].offset, 600);
	CU_ASSERT_EQUAL(s[2].db_addr, 0x300000020);
	CU_ASSERT_EQUAL(s[2].db_len, 16);
	CU_ASSERT_EQUAL(s[3].dev_addr, 0x200000100);
	CU_ASSERT_EQUAL(s[3].db_addr, 0x300800030);
	CU_ASSERT_EQUAL(s[3].db_len, 32);
	CU_ASSERT_EQUAL(s[4].dev_addr, 0x100000000);
	CU_ASSERT_EQUAL(s[4].db_len, 0);
	free_bare(b);
}

/* Bases such that an address would wrap, one buffer in two places, and too many doorbells. */
static void slices_refused(void)
{
	const struct qeff_md_doorbell_op bells[2] = { { .data = 1 }, { .data = 2 } };
	const struct qeff_md_dma_request far = { .size_bytes = 100,
						 .device_offset = 4096,
						 .device_space = QEFF_MD_SPACE_DDR };
	const struct qeff_md_dma_request apart[3] = { { .size_bytes = 100 },
						      { .size_bytes = 100, .buffer = 1 },
						      { .size_bytes = 100, .host_offset = 100 } };
	const struct qeff_md_dma_request loud = { .size_bytes = 100,
						  .num_doorbell_ops = 2,
						  .doorbell_ops = bells };
	struct qeff_error err = { 0 };
	struct bare *b;

	b = make_bare(&far, 1);
	b->activation.nnc.ddr_base = UINT64_MAX - 4095;
	CU_ASSERT_EQUAL(qeff_activation_make_slices(&b->activation, &err), -EPROTO);
	free_bare(b);
	b = make_bare(apart, 3);
	CU_ASSERT_EQUAL(qeff_activation_make_slices(&b->activation, &err), -EOPNOTSUPP);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "DMA request 2 is for buffer 0"));
	free_bare(b);
	b = make_bare(&loud, 1);
	CU_ASSERT_EQUAL(qeff_activation_make_slices(&b->activation, &err), -EOPNOTSUPP);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "rings 2 doorbells"));
	free_bare(b);
	b = make_bare(NULL, 0);
	CU_ASSERT_EQUAL(qeff_activation_make_slices(&b->activation, &err), -EINVAL);
	free_bare(b);
}

/* A header of two slots, whole inputs behind it, each at its alignment. */
static void partial_inputs(void)
{
	const struct qeff_md_dma_request request = { .size_bytes = 1000 };
	struct bare *b = make_bare(&request, 1);
	struct qeff_error err = { 0 };

	b->network.num_inputs = 3;
	b->bindings[0] = (struct qeff_binding){ .name = "a",
						.is_partial = true,
						.dma_offset = 0,
						.dma_size_bytes = 33,
						.alignment = 1 };
	b->bindings[1] = (struct qeff_binding){ .name = "b",
						.is_partial = true,
						.dma_offset = 8,
						.dma_size_bytes = 100,
						.alignment = 64 };
	b->bindings[2] =
		(struct qeff_binding){ .name = "c", .dma_offset = 32, .dma_size_bytes = 10 };
	CU_ASSERT_EQUAL_FATAL(qeff_activation_make_slices(&b->activation, &err), 0);
	CU_ASSERT_EQUAL(b->activation.places[0].offset, 42);
	CU_ASSERT_EQUAL(b->activation.places[1].offset, 128);
	CU_ASSERT_EQUAL(b->activation.places[2].offset, 32);
	free_bare(b);

	b = make_bare(&request, 1);
	b->network.num_inputs = 1;
	b->bindings[0] = (struct qeff_binding){
		.name = "a", .is_partial = true, .dma_size_bytes = 993, .alignment = 1
	};
	CU_ASSERT_EQUAL(qeff_activation_make_slices(&b->activation, &err), -EOPNOTSUPP);
	free_bare(b);
}

static const struct unit_test tests[] = {
	{ "load and unload", load_and_unload }, { "card too small", card_too_small },
	{ "no NSP free", no_nsp_free },		{ "not a package", not_a_package },
	{ "from memory", from_memory },		{ "slices", slices },
	{ "slices refused", slices_refused },	{ "partial inputs", partial_inputs },
};

int main(void)
{
	int ret;

	snprintf(path, sizeof(path), "/tmp/qeff-test-runtime-%d.qpc", (int)getpid());
	if (!package_make(path, NULL))
		return EXIT_FAILURE;
	ret = unit_main("runtime", tests, sizeof(tests) / sizeof(tests[0]));
	unlink(path);
	return ret;
}
