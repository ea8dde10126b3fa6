/* SPDX-License-Identifier: MIT */
/*
 * Packages (.qpc): what a program needs, read without a card.
 *
 * A package is a container of named segments: the network descriptor (bindings, DMA buffers,
 * allowed shapes), the program image with its metadata, the constants, and whatever else a producer
 * put in. It is mapped, never copied, and immutable once open: every function here that takes a
 * `const struct qeff_qpc *` may be called from any thread, several at once. Pointers that these
 * functions give out live until qeff_qpc_close().
 *
 * qeff_qpc_open() validates the container. The network descriptor and the program are validated
 * once at that time as well, but a fault in them is kept and reported by qeff_qpc_network() and
 * qeff_qpc_program(), so that the other parts of a damaged package can still be looked at.
 */
#ifndef QEFF_QPC_H
#define QEFF_QPC_H

#include <qeff/api.h>
#include <qeff/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Name of the package inside a package folder. */
#define QEFF_QPC_FILE_NAME "programqpc.bin"

/* Names of the segments that every runtime knows. */
#define QEFF_SEGMENT_IMAGE	    "network.elf"
#define QEFF_SEGMENT_NETWORK	    "networkdesc.bin"
#define QEFF_SEGMENT_CONSTANTS	    "constants.bin"
#define QEFF_SEGMENT_CONSTANTS_DESC "constantsdesc.bin"

/* No DMA buffer. */
#define QEFF_NO_DMA_BUFFER UINT32_MAX

/* The execution context version of a program that holds no code for a real card: no firmware has
 * it, so a real card refuses the program. */
#define QEFF_NO_EXEC_CONTEXT 0x5145

/**
 * enum qeff_type - element types, numbered as in the network descriptor
 *
 * The "quantised" ones carry a scale and an offset in their binding: real = (stored - offset) *
 * scale.
 */
enum qeff_type {
	QEFF_TYPE_F32 = 0,
	QEFF_TYPE_F16 = 1,
	QEFF_TYPE_I8_QUANTISED = 2,
	QEFF_TYPE_U8_QUANTISED = 3,
	QEFF_TYPE_I16_QUANTISED = 4,
	QEFF_TYPE_I32_QUANTISED = 5,
	QEFF_TYPE_I32 = 6,
	QEFF_TYPE_I64 = 7,
	QEFF_TYPE_I8 = 8, /* also booleans */
};

#define QEFF_TYPE_COUNT 9

/* "float32", "int64"…; "unknown" outside the enum. Static text. */
QEFF_API const char *qeff_type_name(enum qeff_type type);

/* Bytes of one element; 0 outside the enum. */
QEFF_API uint32_t qeff_type_size_bytes(enum qeff_type type);

/**
 * struct qeff_segment - one named part of a package
 * @name: ASCII, unique in the package
 * @data: first byte, in the mapping; 8-byte aligned only if the producer aligned it
 * @size_bytes: payload bytes
 * @split_bytes: of constants.bin: bytes [0, split) are static constants, the rest dynamic ones; 0
 * elsewhere
 * @file_offset: where @data lies in the package
 */
struct qeff_segment {
	const char *name;
	const void *data;
	uint64_t size_bytes;
	uint64_t split_bytes;
	uint64_t file_offset;
};

/**
 * struct qeff_shape - type and dimensions of a tensor
 * @type: element type
 * @num_dims: rank, 0 for a scalar
 * @dims: @num_dims dimensions, outermost first, none negative; a 0 counts as 1
 * @size_bytes: product of the dimensions times the element size
 */
struct qeff_shape {
	enum qeff_type type;
	uint32_t num_dims;
	const int32_t *dims;
	uint64_t size_bytes;
};

/**
 * struct qeff_binding - one input or output of the network
 * @name: UTF-8 without control characters, unique in its direction
 * @shape: what the application hands over or gets; with several specialisations, the largest
 * @is_output: written by the card
 * @is_retained: state that stays on the card: it is named here, but never transferred (its list of
 *transforms is empty)
 * @is_partial: an input of which fewer bytes than @shape says may be handed over
 * @needs_host_transform: between application and DMA buffer the host must do more than copy
 *(convert, quantise, transpose…)
 * @dma_buffer: number of the DMA buffer it travels in, or QEFF_NO_DMA_BUFFER
 * @dma_offset: byte offset in that buffer; of a partial input, the offset of its 8-byte {offset,
 *size} slot
 * @dma_size_bytes: bytes in the DMA buffer; equals @shape.size_bytes unless @needs_host_transform
 * @alignment: of a partial input's data in the DMA buffer, in bytes; 1 where the package says
 *nothing
 * @scale: of quantised types
 * @offset: of quantised types
 */
struct qeff_binding {
	const char *name;
	struct qeff_shape shape;
	bool is_output;
	bool is_retained;
	bool is_partial;
	bool needs_host_transform;
	uint32_t dma_buffer;
	uint32_t dma_offset;
	uint64_t dma_size_bytes;
	uint32_t alignment;
	float scale;
	int32_t offset;
};

/**
 * struct qeff_dma_buffer - one buffer that travels between host and card
 * @size_bytes: its length
 * @is_output: from the card to the host
 */
struct qeff_dma_buffer {
	uint32_t size_bytes;
	bool is_output;
};

/**
 * struct qeff_network - the network descriptor, validated
 * @version_major: 9 is what this library knows; others are read as if they were
 * @version_minor: its minor version
 * @name: name of the network, UTF-8
 * @num_nsps: NSPs ("cores") it was compiled for
 * @num_threads: threads per NSP
 * @batch_size: as the compiler stated it, 1 if it did not
 * @num_inputs: number of inputs
 * @num_outputs: number of outputs
 * @bindings: @num_inputs inputs, then @num_outputs outputs; this order numbers user buffers
 * @num_dma_buffers: number of DMA buffers
 * @dma_buffers: the DMA buffers, by number
 * @num_specialisations: number of allowed combinations of shapes, at least 1
 * @specialisations: the shapes of all bindings for the first specialisation, then for the second,
 *…; use qeff_network_shape(). A network with one fixed shape has one specialisation here
 * @stats_buffer: number of the DMA buffer with profiling data, or QEFF_NO_DMA_BUFFER
 */
struct qeff_network {
	uint32_t version_major;
	uint32_t version_minor;
	const char *name;
	uint32_t num_nsps;
	uint32_t num_threads;
	int32_t batch_size;
	uint32_t num_inputs;
	uint32_t num_outputs;
	const struct qeff_binding *bindings;
	uint32_t num_dma_buffers;
	const struct qeff_dma_buffer *dma_buffers;
	uint32_t num_specialisations;
	const struct qeff_shape *specialisations;
	uint32_t stats_buffer;
};

/* Number of bindings: inputs and outputs. */
static inline uint32_t qeff_network_num_bindings(const struct qeff_network *network)
{
	return network->num_inputs + network->num_outputs;
}

/* Shape of binding @binding in specialisation @specialisation; both must be in range. */
static inline const struct qeff_shape *qeff_network_shape(const struct qeff_network *network,
							  uint32_t specialisation, uint32_t binding)
{
	return &network->specialisations[(size_t)specialisation *
						 qeff_network_num_bindings(network) +
					 binding];
}

/**
 * struct qeff_constants - the constants of a package and what its descriptor says of them
 * @static_data: first static byte, or NULL
 * @static_size_bytes: static bytes in the package; they belong at device offset 0
 * @dynamic_data: first dynamic byte, or NULL
 * @dynamic_size_bytes: dynamic bytes in the package; they belong at device offset
 * @static_space_bytes
 * @static_space_bytes: room for static constants on the device, at least @static_size_bytes
 * @dynamic_space_bytes: room for dynamic constants on the device, at least @dynamic_size_bytes
 * @static_ecc: whether static constants want ECC memory
 * @dynamic_ecc: whether dynamic constants want ECC memory
 */
struct qeff_constants {
	const void *static_data;
	uint64_t static_size_bytes;
	const void *dynamic_data;
	uint64_t dynamic_size_bytes;
	uint64_t static_space_bytes;
	uint64_t dynamic_space_bytes;
	bool static_ecc;
	bool dynamic_ecc;
};

/**
 * struct qeff_program - facts of the program's metadata
 * @metadata_section: section of the image that held the metadata
 * @metadata_form: how it was encoded, for a person
 * @network_name: the name the metadata gives, UTF-8
 * @version_major: metadata version
 * @version_minor: metadata version
 * @exec_context_major: execution context the program's code expects, or QEFF_NO_EXEC_CONTEXT
 * @hw_version_major: hardware it is for (2.0 is AIC100)
 * @hw_version_minor: hardware it is for
 * @num_nsps: NSPs it takes
 * @num_semaphores: semaphores it uses
 * @num_dma_requests: transfers of one inference
 * @num_multicast_entries: multicast ids the host may address
 * @num_threads: threads per NSP
 * @num_constant_mappings: ranges of constants mapped into NSPs
 * @static_shared_ddr_bytes: device memory for static shared data
 * @dynamic_shared_ddr_bytes: device memory for dynamic shared data
 * @static_constants_bytes: device memory for static constants
 * @dynamic_constants_bytes: device memory for dynamic constants
 * @heap_bytes: heap of the program
 * @l2_cached_ddr_bytes: cached device memory per NSP
 * @l2tcm_bytes: L2TCM per NSP
 * @l2tcm_init_bytes: of which initialised
 * @vtcm_bytes: VTCM per NSP
 * @single_vtcm_page: VTCM is mapped as one page
 */
struct qeff_program {
	const char *metadata_section;
	const char *metadata_form;
	const char *network_name;
	uint16_t version_major;
	uint16_t version_minor;
	uint16_t exec_context_major;
	uint8_t hw_version_major;
	uint8_t hw_version_minor;
	uint32_t num_nsps;
	uint32_t num_semaphores;
	uint32_t num_dma_requests;
	uint32_t num_multicast_entries;
	uint32_t num_threads;
	uint32_t num_constant_mappings;
	uint64_t static_shared_ddr_bytes;
	uint64_t dynamic_shared_ddr_bytes;
	uint64_t static_constants_bytes;
	uint64_t dynamic_constants_bytes;
	uint64_t heap_bytes;
	uint32_t l2_cached_ddr_bytes;
	uint32_t l2tcm_bytes;
	uint32_t l2tcm_init_bytes;
	uint32_t vtcm_bytes;
	bool single_vtcm_page;
};

struct qeff_qpc;

/**
 * qeff_qpc_open - open a package
 * @path: a package file, or a folder that holds one named programqpc.bin
 * @qpc: receives the package; close it with qeff_qpc_close()
 * @err: why it failed, or NULL
 *
 * The file is mapped, not read; it must not be truncated while it is open.
 *
 * Returns 0; -ENOENT, -EACCES… as open(); -EINVAL if it is not a valid container; -ENOMEM.
 */
QEFF_API int qeff_qpc_open(const char *path, struct qeff_qpc **qpc, struct qeff_error *err);

/**
 * qeff_qpc_open_memory - open a package that is in memory already
 * @data: the package; borrowed, must stay unchanged until qeff_qpc_close()
 * @size_bytes: its length
 * @name: what error sentences call it
 * @qpc: receives the package
 * @err: why it failed, or NULL
 */
QEFF_API int qeff_qpc_open_memory(const void *data, size_t size_bytes, const char *name,
				  struct qeff_qpc **qpc, struct qeff_error *err);

/* Unmaps and frees; NULL is fine. */
QEFF_API void qeff_qpc_close(struct qeff_qpc *qpc);

/* The file that was opened (the file inside the folder, if a folder was given), or the name given.
 */
QEFF_API const char *qeff_qpc_path(const struct qeff_qpc *qpc);

/**
 * qeff_qpc_data - the whole container
 * @qpc: the package
 * @size_bytes: receives its length
 *
 * Returns its first byte.
 */
QEFF_API const void *qeff_qpc_data(const struct qeff_qpc *qpc, size_t *size_bytes);

/* Number of segments. */
QEFF_API uint32_t qeff_qpc_num_segments(const struct qeff_qpc *qpc);

/* Segment by its place in the container's table, or NULL. */
QEFF_API const struct qeff_segment *qeff_qpc_segment_at(const struct qeff_qpc *qpc, uint32_t index);

/* Segment by name, or NULL. */
QEFF_API const struct qeff_segment *qeff_qpc_segment(const struct qeff_qpc *qpc, const char *name);

/**
 * qeff_qpc_network - the network descriptor
 * @qpc: the package
 * @network: receives it; owned by the package
 * @err: why it failed, or NULL
 *
 * Returns 0; -ENOENT if the package has none; -EINVAL, -EFBIG or -ENOMEM if it could not be read.
 */
QEFF_API int qeff_qpc_network(const struct qeff_qpc *qpc, const struct qeff_network **network,
			      struct qeff_error *err);

/**
 * qeff_qpc_program - facts of the program
 * @qpc: the package
 * @program: receives them; owned by the package
 * @err: why it failed, or NULL
 *
 * Returns 0; -ENOENT if the package has no image or the image no metadata; -EINVAL, -EFBIG or
 * -ENOMEM if they could not be read.
 */
QEFF_API int qeff_qpc_program(const struct qeff_qpc *qpc, const struct qeff_program **program,
			      struct qeff_error *err);

/**
 * qeff_qpc_constants - the constants
 * @qpc: the package
 * @constants: receives where they are; all zero if the package has none
 * @err: why it failed, or NULL
 *
 * Returns 0, or -EINVAL if segment and descriptor do not fit each other.
 */
QEFF_API int qeff_qpc_constants(const struct qeff_qpc *qpc, struct qeff_constants *constants,
				struct qeff_error *err);

/**
 * qeff_qpc_verify - check everything
 * @qpc: the package
 * @err: the first thing that is wrong, or NULL
 *
 * Checks that the segments a runtime needs are there, that each is valid, and that they agree with
 * each other: bindings and DMA buffers of the descriptor with the DMA requests of the metadata,
 * constants with their descriptor and with the metadata, checksums where the package carries them.
 *
 * Returns 0, or a negative errno.
 */
QEFF_API int qeff_qpc_verify(const struct qeff_qpc *qpc, struct qeff_error *err);

#ifdef __cplusplus
}
#endif
#endif
