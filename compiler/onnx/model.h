/* SPDX-License-Identifier: MIT */
/* What the files of the import share: the model, tensors, scopes of names, the importer. */
#ifndef QEFF_ONNX_MODEL_H
#define QEFF_ONNX_MODEL_H

#include "onnx/import.h"
#include "util/arena.h"
#include "util/bytes.h"
#include "util/file.h"

#include "onnx.pb-c.h"

#define ONNX_MAX_DEPTH	    16		 /* subgraphs in subgraphs, functions in functions */
#define ONNX_MAX_NODES	    (1u << 18)	 /* with all that is put in place of a node */
#define ONNX_MAX_TURNS	    (1u << 12)	 /* of a loop, each of which becomes nodes */
#define ONNX_MAX_SPARSE	    (64u << 20)	 /* bytes of a sparse tensor that is not sparse any more */
#define ONNX_SMALL_BYTES    (16u << 20)	 /* of a computed constant, whatever it is computed of */
#define ONNX_COMPUTED_BYTES (256u << 20) /* of all of them, and four times the tensors' bytes */

/* Protobuf's memory, with a limit: a small message can ask for much. */
struct onnx_memory {
	ProtobufCAllocator allocator;
	uint64_t used_bytes, limit_bytes;
};

/* A data file that tensors lie in. */
struct onnx_data_file {
	char *location;
	struct qeff_map map;
};

/* A graph in an attribute, unpacked. */
struct onnx_subgraph {
	QeffOnnx__AttributeProto *attribute;
	QeffOnnx__GraphProto *graph;
};

/* A constant that was computed; those of all imports that are equal are one. */
struct onnx_constant {
	uint64_t hash, size_bytes;
	const void *data;
};

/* Long raw numbers of an initialiser, which are not in the unpacked message. */
struct onnx_raw {
	uint32_t initialiser; /* of the graph's */
	const uint8_t *data;  /* in the file */
	size_t size_bytes;
	uint8_t *copy; /* where @data is not aligned to the type, or NULL */
	QeffOnnx__TensorProto *tensor;
};

struct onnx_raws {
	struct onnx_raw *list;
	uint32_t count;
};

struct qeff_onnx_model {
	char *name;	 /* for errors */
	char *directory; /* of data files, or NULL */
	struct qeff_map map;
	struct onnx_memory memory;
	struct qeff_arena arena;
	QeffOnnx__ModelProto *proto;
	struct onnx_raws raws;
	struct onnx_data_file *files;
	uint32_t num_files;
	struct onnx_subgraph *subgraphs; /* by attribute's address */
	uint32_t num_subgraphs;
	struct onnx_constant *constants; /* open addressing */
	uint32_t num_constants, constants_capacity;
	uint64_t tensor_bytes;	 /* that were read */
	uint64_t constant_bytes; /* that were computed */
};

/* "" for a string that is not there. */
static inline const char *onnx_text(const char *text)
{
	return text ? text : "";
}

void onnx_memory_init(struct onnx_memory *memory, uint64_t message_bytes);
/* @cut: the model's message without long raw numbers of initialisers, which @raws notes. False
 * where there are none, or nothing can be cut. */
bool onnx_raws_cut(const void *data, size_t size_bytes, struct qeff_bytes *cut,
		   struct onnx_raws *raws);
/* The tensors of the unpacked message get their numbers; */
int onnx_raws_put_back(struct qeff_onnx_model *model, struct qeff_error *err);
/* and are without again, before the message is freed. */
void onnx_raws_take_out(const struct onnx_raws *raws);
void onnx_raws_free(struct onnx_raws *raws);
/* The graph that @attribute holds; NULL if it holds none. */
const QeffOnnx__GraphProto *onnx_subgraph(const struct qeff_onnx_model *model,
					  const QeffOnnx__AttributeProto *attribute);
/* Memory of the model with these @size_bytes: that of an equal constant if there is one. */
const void *onnx_constant(struct qeff_onnx_model *model, const void *data, uint64_t size_bytes);

/* Checks @proto; numbers lie in it, in a data file, or in memory of the model. */
int onnx_tensor(struct qeff_onnx_model *model, const QeffOnnx__TensorProto *proto,
		struct qeff_onnx_tensor *tensor, struct qeff_error *err);
/* The same of one that lists its elements other than zero. */
int onnx_sparse_tensor(struct qeff_onnx_model *model, const QeffOnnx__SparseTensorProto *proto,
		       struct qeff_onnx_tensor *tensor, struct qeff_error *err);

#endif
