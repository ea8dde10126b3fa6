/* SPDX-License-Identifier: MIT */
/* Changing a model's message in place. Its strings and lists belong to protobuf's allocator. */
#ifndef QEFF_ONNX_EDIT_H
#define QEFF_ONNX_EDIT_H

#include "onnx/importer.h"

int onnx_edit_no_memory(const struct qeff_onnx_model *model, struct qeff_error *err);
/* "past_key.3" and the like of the message's memory; false when memory runs out. */
bool onnx_set_text(struct qeff_onnx_model *model, char **field, const char *text);
/* A copy of @message, any of a model's; NULL when memory runs out. */
void *onnx_edit_copy(struct qeff_onnx_model *model, const void *message);
/* @list gets room for @room elements of @size_bytes, of which it has @count. */
bool onnx_make_room(struct qeff_onnx_model *model, void *list, size_t count, size_t room,
		    size_t size_bytes);

/* Names that inputs, initialisers and nodes of the main graph make. */
bool onnx_made_names(const struct qeff_onnx_model *model, struct onnx_names *names);
/* What a renaming touches in the main graph and the bodies in it. */
#define ONNX_RENAME_READ    1 /* inputs and initialisers, and what reads */
#define ONNX_RENAME_MADE    2 /* outputs of nodes */
#define ONNX_RENAME_OUTPUTS 4 /* of the graph */
#define ONNX_RENAME_ALL	    7

/* What is called so is called as @names say (text). */
bool onnx_rename(struct qeff_onnx_model *model, const struct onnx_names *names, int where);
/* Notes that @from is to be called @to, unless something is, or will be. @made gets @to. 1: noted,
 * 0: not. */
int onnx_note_name(struct qeff_onnx_model *model, struct onnx_names *made, struct onnx_names *names,
		   const char *from, const char *to);
/* Initialiser @index is no more. */
void onnx_remove_initialiser(struct qeff_onnx_model *model, size_t index);
/* The function that @node calls, or NULL. */
QeffOnnx__FunctionProto *onnx_called(const struct qeff_onnx_model *model,
				     const QeffOnnx__NodeProto *node);

static inline bool onnx_ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);

	return length >= end_length && !strcmp(text + length - end_length, end);
}

#endif
