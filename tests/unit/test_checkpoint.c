/* SPDX-License-Identifier: MIT */
/* Checkpoints: safetensors from bytes written by hand, right and wrong, shards, configuration,
 * pooling. */
#include "unit.h"

#include "checkpoint/checkpoint.h"
#include "model_folder.h"

static const struct {
	uint8_t length[8];
	char header[128];
	uint8_t data[16];
} two_tensors = {
	{ 128, 0, 0, 0, 0, 0, 0, 0 },
	"{\"b\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
	"\"a\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[12,16]}}                 ",
	{ 0x00, 0x3c, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0x2a, 0, 0, 0 },
};

/* The folder opens with this error, whose sentence has @part in it. */
static void refused(struct folder *folder, int code, const char *part)
{
	struct qeff_checkpoint *cp = NULL;
	struct qeff_error err = { 0 };
	int ret = qeff_checkpoint_open(folder->path, &cp, &err);

	CU_ASSERT_EQUAL(ret, code);
	CU_ASSERT_EQUAL(err.code, ret);
	CU_ASSERT_PTR_NULL(cp);
	if (!strstr(err.message, part) || !strstr(err.message, folder->path)) {
		printf("\n  expected \"%s\", got \"%s\"", part, err.message);
		CU_FAIL("the message names what is wrong, and where");
	}
	qeff_checkpoint_close(cp);
}

static struct qeff_checkpoint *opened(struct folder *folder)
{
	struct qeff_checkpoint *cp = NULL;
	struct qeff_error err = { 0 };

	if (qeff_checkpoint_open(folder->path, &cp, &err))
		printf("\n  %s", err.message);
	CU_ASSERT_PTR_NOT_NULL_FATAL(cp);
	CU_ASSERT_EQUAL(err.code, 0);
	CU_ASSERT_STRING_EQUAL(err.message, "");
	return cp;
}

static void reads_tensors(void)
{
	struct folder folder = folder_new();
	const struct qeff_checkpoint_tensor *all, *t;
	struct qeff_checkpoint *cp;
	size_t count;

	_Static_assert(sizeof(two_tensors) == 8 + 128 + 16, "no padding");
	folder_text(&folder, "config.json", "{}");
	folder_write(&folder, "model.safetensors", &two_tensors, sizeof(two_tensors));
	cp = opened(&folder);
	all = qeff_checkpoint_tensors(cp, &count);
	CU_ASSERT_EQUAL_FATAL(count, 2);
	CU_ASSERT_STRING_EQUAL(all[0].name, "a");
	CU_ASSERT_STRING_EQUAL(all[1].name, "b");
	t = qeff_checkpoint_find(cp, "a");
	CU_ASSERT_PTR_EQUAL_FATAL(t, &all[0]);
	CU_ASSERT_EQUAL(t->type, QEFF_GRAPH_I32);
	CU_ASSERT_EQUAL(t->rank, 0);
	CU_ASSERT_EQUAL(t->size_bytes, 4);
	CU_ASSERT_EQUAL(*(const int32_t *)t->data, 42);
	t = qeff_checkpoint_find(cp, "b");
	CU_ASSERT_EQUAL(t->type, QEFF_GRAPH_F16);
	CU_ASSERT_STRING_EQUAL(t->dtype, "F16");
	CU_ASSERT_EQUAL(t->rank, 2);
	CU_ASSERT_EQUAL(t->dims[0], 2);
	CU_ASSERT_EQUAL(t->dims[1], 3);
	CU_ASSERT_EQUAL(t->size_bytes, 12);
	CU_ASSERT_EQUAL(*(const uint16_t *)t->data, 0x3c00);
	CU_ASSERT_PTR_NULL(qeff_checkpoint_find(cp, "c"));
	CU_ASSERT_PTR_NULL(qeff_checkpoint_find(cp, ""));
	CU_ASSERT_STRING_EQUAL(qeff_checkpoint_path(cp), folder.path);
	qeff_checkpoint_close(cp);

	/* every shorter file is refused */
	for (size_t size = 0; size < sizeof(two_tensors); size++) {
		folder_write(&folder, "model.safetensors", &two_tensors, size);
		refused(&folder, -EINVAL, "model.safetensors");
	}
	folder_remove(&folder);
	qeff_checkpoint_close(NULL);
}

#define T(shape, offsets)                                                                          \
	"{\"t\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void refuses_malformed_tensors(void)
{
	static const struct {
		const char *header;
		size_t data_bytes;
		const char *part;
	} cases[] = {
		{ "", 0, "no JSON object" },
		{ " {}", 0, "no JSON object" },
		{ "[]", 0, "no JSON object" },
		{ "{", 0, "header, byte" },
		{ "{}x", 0, "header, byte" },
		{ "{\"t\":1}", 0, "tensor \"t\": its entry is no object" },
		{ "{\"t\":{}}", 0, "\"dtype\" is missing" },
		{ "{\"t\":{\"dtype\":4}}", 0, "\"dtype\" is missing" },
		{ "{\"t\":{\"dtype\":\"F33\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, "F33" },
		{ "{\"t\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "\"shape\"" },
		{ "{\"t\":{\"dtype\":\"F32\",\"shape\":[]}}", 4, "\"data_offsets\"" },
		{ T("4", "[0,16]"), 16, "\"shape\"" },
		{ T("[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "at most 8" },
		{ T("[4.0]", "[0,16]"), 16, "dimension 0" },
		{ T("[2,-2]", "[0,16]"), 16, "dimension 1" },
		{ T("[\"4\"]", "[0,16]"), 16, "dimension 0" },
		{ T("[4294967296,4294967296]", "[0,0]"), 0, "2^64" },
		{ T("[4611686018427387904]", "[0,0]"), 0, "2^64" },
		{ T("[99999999999999999999]", "[0,0]"), 0, "header, byte" },
		{ T("[4]", "[0,16,16]"), 16, "\"data_offsets\"" },
		{ T("[4]", "[0]"), 16, "\"data_offsets\"" },
		{ T("[4]", "{}"), 16, "\"data_offsets\"" },
		{ T("[4]", "[-16,0]"), 16, "\"data_offsets\"" },
		{ T("[4]", "[16,0]"), 16, "span" },
		{ T("[4]", "[0,12]"), 16, "span 12 bytes, the shape needs 16" },
		{ T("[4]", "[0,20]"), 20, "span 20 bytes, the shape needs 16" },
		{ T("[4]", "[0,16]"), 15, "truncated?" },
		{ T("[4]", "[9223372036854775792,9223372036854775807]"), 16, "span" },
		{ T("[4]", "[9223372036854775791,9223372036854775807]"), 16, "truncated?" },
		{ T("[4]", "[0,16]"), 17, "end at byte 16 of the data, the file has 17" },
		{ T("[4]", "[1,17]"), 17, "hole of 1 bytes" },
		{ "{\"t\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
		  "\"u\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[3,7]}}",
		  7, "tensor \"u\": overlaps the one before it by 1" },
		{ "{\"t\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
		  "\"t\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}",
		  8, "duplicate" },
		{ "{\"__metadata__\":[]}", 0, "\"__metadata__\" is no object" },
		{ "{\"__metadata__\":{\"format\":1}}", 0, "\"format\"" },
	};
	static const char data[32];
	struct folder folder = folder_new();

	folder_text(&folder, "config.json", "{}");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		folder_tensors(&folder, "model.safetensors", cases[i].header, data,
			       cases[i].data_bytes);
		refused(&folder, -EINVAL, cases[i].part);
	}
	/* lengths of the header that nothing can have */
	folder_write(&folder, "model.safetensors", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
	refused(&folder, -EINVAL, "18446744073709551615");
	folder_write(&folder, "model.safetensors", "\3\0\0\0\0\0\0\0{}", 10);
	refused(&folder, -EINVAL, "truncated?");
	folder_remove(&folder);
}

static void accepts_what_the_format_allows(void)
{
	static const char data[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	struct folder folder = folder_new();
	const struct qeff_checkpoint_tensor *t;
	struct qeff_checkpoint *cp;
	size_t count;

	folder_text(&folder, "config.json", "{}");
	folder_tensors(&folder, "model.safetensors", "{}", NULL, 0);
	cp = opened(&folder);
	qeff_checkpoint_tensors(cp, &count);
	CU_ASSERT_EQUAL(count, 0);
	CU_ASSERT_PTR_NULL(qeff_checkpoint_find(cp, "t"));
	qeff_checkpoint_close(cp);

	/* metadata, a key that nobody knows, a tensor without elements, an f32 at an odd address */
	folder_tensors(
		&folder, "model.safetensors",
		"{\"__metadata__\":{\"format\":\"pt\"},"
		"\"none\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[1,1]},"
		"\"odd\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[1,5],\"note\":{}},"
		"\"byte\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]}}",
		data, 5);
	cp = opened(&folder);
	qeff_checkpoint_tensors(cp, &count);
	CU_ASSERT_EQUAL(count, 3);
	t = qeff_checkpoint_find(cp, "odd");
	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	CU_ASSERT_EQUAL((uintptr_t)t->data % 4, 0);
	CU_ASSERT_EQUAL(memcmp(t->data, data + 1, 4), 0);
	t = qeff_checkpoint_find(cp, "byte");
	CU_ASSERT_EQUAL(t->type, 0);
	CU_ASSERT_STRING_EQUAL(t->dtype, "F8_E4M3");
	CU_ASSERT_EQUAL(qeff_checkpoint_find(cp, "none")->size_bytes, 0);
	qeff_checkpoint_close(cp);
	folder_remove(&folder);
}

#define SHARD(name, numbers)                                                                       \
	"{\"" name "\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}" numbers "}"

static void reads_shards(void)
{
	static const char *const bad_names[] = { "../m1", "/etc/passwd", "",	   ".",
						 "..",	  "sub/m1",	 ".hidden" };
	struct folder folder = folder_new();
	struct qeff_checkpoint *cp;
	char index[256];
	size_t count;

	folder_text(&folder, "config.json", "{}");
	refused(&folder, -ENOENT, "neither model.safetensors nor");
	folder_tensors(&folder, "m1", SHARD("a", ""), "aaaa", 4);
	folder_tensors(&folder, "m2",
		       SHARD("b", ",\"c\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[4,5]}"),
		       "bbbbc", 5);
	folder_text(
		&folder, "model.safetensors.index.json",
		"{\"metadata\":{\"total_size\":9},\"weight_map\":{\"c\":\"m2\",\"a\":\"m1\",\"b\":\"m2\"}}");
	cp = opened(&folder);
	qeff_checkpoint_tensors(cp, &count);
	CU_ASSERT_EQUAL(count, 3);
	CU_ASSERT_EQUAL(*(const char *)qeff_checkpoint_find(cp, "a")->data, 'a');
	CU_ASSERT_EQUAL(*(const char *)qeff_checkpoint_find(cp, "b")->data, 'b');
	CU_ASSERT_EQUAL(*(const char *)qeff_checkpoint_find(cp, "c")->data, 'c');
	qeff_checkpoint_close(cp);

	/* a tensor in the wrong shard, a shard that is not there, one that is damaged */
	folder_text(&folder, "model.safetensors.index.json", "{\"weight_map\":{\"a\":\"m2\"}}");
	refused(&folder, -EINVAL, "m2: has no tensor \"a\"");
	folder_text(&folder, "model.safetensors.index.json",
		    "{\"weight_map\":{\"a\":\"m1\",\"d\":\"m3\"}}");
	refused(&folder, -ENOENT, "m3");
	folder_write(&folder, "m3", "1234", 4);
	refused(&folder, -EINVAL, "m3: has 4 bytes");
	for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++) {
		snprintf(index, sizeof(index), "{\"weight_map\":{\"a\":\"%s\"}}", bad_names[i]);
		folder_text(&folder, "model.safetensors.index.json", index);
		refused(&folder, -EINVAL, "tensor \"a\": expected the plain name");
	}
	folder_text(&folder, "model.safetensors.index.json", "{\"weight_map\":{\"a\":7}}");
	refused(&folder, -EINVAL, "tensor \"a\"");
	folder_text(&folder, "model.safetensors.index.json", "{\"weight_map\":[]}");
	refused(&folder, -EINVAL, "\"weight_map\" is no object");
	folder_text(&folder, "model.safetensors.index.json", "{}");
	refused(&folder, -EINVAL, "\"weight_map\" is no object");
	folder_text(&folder, "model.safetensors.index.json", "[1]");
	refused(&folder, -EINVAL, "index.json: expected an object");

	/* a single file goes first */
	folder_tensors(&folder, "model.safetensors", SHARD("z", ""), "zzzz", 4);
	cp = opened(&folder);
	CU_ASSERT_PTR_NOT_NULL(qeff_checkpoint_find(cp, "z"));
	qeff_checkpoint_close(cp);
	folder_remove(&folder);
}

static void reads_config(void)
{
	struct folder folder = folder_new();
	const struct qeff_config *c;
	struct qeff_config object;
	struct qeff_checkpoint *cp;
	struct qeff_error err = { 0 };
	const char *text = "default";
	int64_t number = 7, list[3];
	double real = 0.5;
	bool flag = true;
	size_t count = 9;

	folder_tensors(&folder, "model.safetensors", "{}", NULL, 0);
	refused(&folder, -ENOENT, "config.json: cannot open");
	folder_text(&folder, "config.json", "{\"a\": }");
	refused(&folder, -EINVAL, "config.json: line 1, column 7");
	folder_text(&folder, "config.json", "{\"a\":1,\"a\":2}");
	refused(&folder, -EINVAL, "config.json: line 1");
	folder_text(&folder, "config.json", "");
	refused(&folder, -EINVAL, "config.json");
	folder_text(&folder, "config.json", "7");
	refused(&folder, -EINVAL, "config.json");
	folder_text(&folder, "config.json", "{}");
	folder_text(&folder, "generation_config.json", "[]");
	refused(&folder, -EINVAL, "generation_config.json: expected an object");
	folder_text(&folder, "generation_config.json", "{\"eos_token_id\":[1,2]}");
	folder_text(
		&folder, "config.json",
		"{\"i\":5,\"n\":null,\"f\":2.5,\"s\":\"x\",\"t\":false,\"l\":[1,2,3],\"o\":{\"k\":1.5},"
		"\"names\":[\"One\",\"Two\"]}");
	cp = opened(&folder);
	c = qeff_checkpoint_config(cp);

	CU_ASSERT_TRUE(qeff_config_has(c, "i"));
	CU_ASSERT_FALSE(qeff_config_has(c, "n"));
	CU_ASSERT_EQUAL(qeff_config_int(c, "missing", 0, 9, &number, &err), 0);
	CU_ASSERT_EQUAL(qeff_config_int(c, "n", 0, 9, &number, &err), 0);
	CU_ASSERT_EQUAL(number, 7);
	CU_ASSERT_EQUAL(qeff_config_int(c, "i", 0, 9, &number, &err), 0);
	CU_ASSERT_EQUAL(number, 5);
	CU_ASSERT_EQUAL(err.code, 0);
	CU_ASSERT_EQUAL(qeff_config_int(c, "i", 6, 9, &number, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "config.json: \"i\" is 5, expected 6 to 9"));
	CU_ASSERT_EQUAL(qeff_config_int(c, "f", 0, 9, &number, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "\"f\" is a number with a fraction"));
	CU_ASSERT_EQUAL(qeff_config_int(c, "s", 0, 9, &number, NULL), -EINVAL);
	CU_ASSERT_EQUAL(number, 5);
	CU_ASSERT_EQUAL(qeff_config_float(c, "i", 0, 9, &real, &err), 0);
	CU_ASSERT_EQUAL(real, 5);
	CU_ASSERT_EQUAL(qeff_config_float(c, "f", 0, 2, &real, &err), -EINVAL);
	CU_ASSERT_EQUAL(qeff_config_bool(c, "t", &flag, &err), 0);
	CU_ASSERT_FALSE(flag);
	CU_ASSERT_EQUAL(qeff_config_bool(c, "i", &flag, &err), -EINVAL);
	CU_ASSERT_EQUAL(qeff_config_string(c, "s", &text, &err), 0);
	CU_ASSERT_STRING_EQUAL(text, "x");
	CU_ASSERT_EQUAL(qeff_config_string(c, "l", &text, &err), -EINVAL);
	CU_ASSERT_EQUAL(qeff_config_first_string(c, "names", &text, &err), 0);
	CU_ASSERT_STRING_EQUAL(text, "One");
	CU_ASSERT_EQUAL(qeff_config_first_string(c, "l", &text, &err), -EINVAL);
	CU_ASSERT_EQUAL(qeff_config_ints(c, "missing", 0, 9, 3, list, &count, &err), 0);
	CU_ASSERT_EQUAL(count, 9);
	CU_ASSERT_EQUAL(qeff_config_ints(c, "l", 0, 9, 3, list, &count, &err), 0);
	CU_ASSERT_EQUAL(count, 3);
	CU_ASSERT_EQUAL(list[2], 3);
	CU_ASSERT_EQUAL(qeff_config_ints(c, "l", 0, 9, 2, list, &count, &err), -EINVAL);
	CU_ASSERT_EQUAL(qeff_config_ints(c, "l", 0, 2, 3, list, &count, &err), -EINVAL);
	CU_ASSERT_EQUAL(qeff_config_ints(c, "i", 0, 9, 3, list, &count, &err), 0);
	CU_ASSERT_EQUAL(count, 1);
	CU_ASSERT_EQUAL(qeff_config_object(c, "o", "o.", &object, &err), 0);
	CU_ASSERT_EQUAL(qeff_config_float(&object, "k", 2, 3, &real, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "\"o.k\" is 1.5"));
	CU_ASSERT_EQUAL(qeff_config_object(c, "missing", "m.", &object, &err), 0);
	CU_ASSERT_EQUAL(qeff_config_require(&object, "k", &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "config.json: \"m.k\" is missing"));
	CU_ASSERT_EQUAL(qeff_config_object(c, "i", "i.", &object, &err), -EINVAL);
	CU_ASSERT_EQUAL(qeff_config_expect(c, "f", "2.5", &err), 0);
	CU_ASSERT_EQUAL(qeff_config_expect(c, "i", "5.0", &err), 0);
	CU_ASSERT_EQUAL(qeff_config_expect(c, "n", NULL, &err), 0);
	CU_ASSERT_EQUAL(qeff_config_expect(c, "s", "\"y\"", &err), -ENOTSUP);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(err.message, "\"s\" is \"x\", which is not supported (only \"y\")"));
	CU_ASSERT_EQUAL(qeff_config_expect(c, "o", NULL, &err), -ENOTSUP);
	count = 0;
	CU_ASSERT_EQUAL(qeff_config_ints(qeff_checkpoint_generation(cp), "eos_token_id", 0, 9, 3,
					 list, &count, &err),
			0);
	CU_ASSERT_EQUAL(count, 2);
	CU_ASSERT_FALSE(qeff_config_has(qeff_checkpoint_tokenizer(cp), "x"));
	qeff_checkpoint_close(cp);
	folder_remove(&folder);
}

#define MODULE(type, path)                                                                         \
	"{\"type\":\"sentence_transformers.models." type "\",\"path\":\"" path "\"}"

static void pooling_is(struct folder *folder, const char *mode, bool normalize, bool unsupported)
{
	struct qeff_checkpoint *cp = opened(folder);
	const struct qeff_checkpoint_pooling *pooling = qeff_checkpoint_pooling(cp);

	CU_ASSERT_EQUAL(!pooling->mode, !mode);
	if (mode && pooling->mode)
		CU_ASSERT_STRING_EQUAL(pooling->mode, mode);
	CU_ASSERT_EQUAL(pooling->normalize, normalize);
	CU_ASSERT_EQUAL(!!pooling->unsupported, unsupported);
	qeff_checkpoint_close(cp);
}

static void reads_pooling(void)
{
	struct folder folder = folder_new();
	struct qeff_checkpoint *cp;

	folder_text(&folder, "config.json", "{}");
	folder_tensors(&folder, "model.safetensors", "{}", NULL, 0);
	pooling_is(&folder, NULL, false, false);
	mkdir(folder_path(&folder, "1_Pooling"), 0700);
	folder_text(&folder, "modules.json",
		    "[" MODULE("Transformer", "") "," MODULE("Pooling", "1_Pooling") "]");
	refused(&folder, -ENOENT, "1_Pooling/config.json");
	folder_text(&folder, "1_Pooling/config.json",
		    "{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":false}");
	pooling_is(&folder, "cls", false, false);
	folder_text(&folder, "1_Pooling/config.json", "{\"pooling_mode_lasttoken\":true}");
	pooling_is(&folder, "last", false, false);
	folder_text(&folder, "1_Pooling/config.json", "{\"pooling_mode_max_tokens\":true}");
	pooling_is(&folder, "max", false, false);
	folder_text(&folder, "1_Pooling/config.json",
		    "{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":true}");
	pooling_is(&folder, NULL, false, true);
	folder_text(&folder, "1_Pooling/config.json",
		    "{\"pooling_mode_weightedmean_tokens\":true}");
	pooling_is(&folder, NULL, false, true);
	folder_text(&folder, "1_Pooling/config.json", "{\"pooling_mode_mean_tokens\":1}");
	refused(&folder, -EINVAL,
		"1_Pooling/config.json: \"pooling_mode_mean_tokens\" is an integer");
	folder_text(&folder, "1_Pooling/config.json", "{\"pooling_mode_mean_tokens\":true}");
	folder_text(&folder, "modules.json",
		    "[" MODULE("Transformer", "") "," MODULE("Pooling", "1_Pooling") "," MODULE(
			    "Normalize", "2_Normalize") "]");
	folder_text(&folder, "sentence_bert_config.json", "{\"max_seq_length\":99}");
	pooling_is(&folder, "mean", true, false);
	cp = opened(&folder);
	CU_ASSERT_EQUAL(qeff_checkpoint_pooling(cp)->max_seq_length, 99);
	qeff_checkpoint_close(cp);
	folder_text(&folder, "modules.json",
		    "[" MODULE("Transformer", "") "," MODULE("Pooling", "1_Pooling") "," MODULE(
			    "Dense", "2_Dense") "]");
	pooling_is(&folder, NULL, false, true);
	folder_text(&folder, "modules.json", "[" MODULE("Pooling", "../1_Pooling") "]");
	refused(&folder, -EINVAL, "modules.json: \"path\" is \"../1_Pooling\"");
	folder_text(&folder, "modules.json", "[3]");
	refused(&folder, -EINVAL, "modules.json: module 0");
	folder_text(&folder, "modules.json", "{}");
	refused(&folder, -EINVAL, "modules.json: expected a list");
	folder_text(&folder, "modules.json", "[]");
	folder_text(&folder, "sentence_bert_config.json", "{\"max_seq_length\":0}");
	refused(&folder, -EINVAL, "sentence_bert_config.json: \"max_seq_length\" is 0");
	folder_remove(&folder);
}

static const struct unit_test tests[] = {
	{ "reads tensors", reads_tensors },
	{ "refuses malformed tensors", refuses_malformed_tensors },
	{ "accepts what the format allows", accepts_what_the_format_allows },
	{ "reads shards", reads_shards },
	{ "reads configuration", reads_config },
	{ "reads pooling", reads_pooling },
};

QEFF_UNIT_MAIN("checkpoint", tests)
