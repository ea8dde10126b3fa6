/* SPDX-License-Identifier: MIT */
/* The program image: an ELF from bytes written down by hand, and what the writer makes. */
#include "qpc/image.h"

#include "test_qpc_bytes.h"
#include "unit.h"

/* A 32-bit Hexagon ELF: header, "metadata" of 4 bytes at 52, "metadata_fb" of 3 at 56, names at 60,
 * table at 100. */
static void hand_elf(struct pen *p)
{
	static const char names[] = "\0metadata\0metadata_fb\0.shstrtab";
	static const uint32_t sections[4][3] = {
		{ 0 }, { 1, 52, 4 }, { 10, 56, 3 }, { 22, 60, 32 }
	};

	*p = (struct pen){ 0 };
	put(p, 0x464c457f, 4);
	put(p, 0x00010101, 12); /* 32 bits, little-endian, version 1 */
	put(p, 2, 2);		/* 16: executable */
	put(p, 164, 2);		/* 18: Hexagon */
	put(p, 1, 4);
	put(p, 0, 8);	/* 24: entry, program headers */
	put(p, 100, 4); /* 32: section headers */
	put(p, 0x68, 4);
	put(p, 52, 2); /* 40: header size */
	put(p, 0, 4);
	put(p, 40, 2); /* 46: section header size, number, names */
	put(p, 4, 2);
	put(p, 3, 2);
	put(p, 0x64636261, 4); /* 52: "abcd" */
	put(p, 0x7a7978, 4);   /* 56: "xyz" */
	memcpy(p->bytes + p->n, names, sizeof(names));
	p->n = 100;
	for (unsigned int i = 0; i < 4; i++) {
		put(p, sections[i][0], 4);
		put(p,
		    i == 0   ? 0
		    : i == 3 ? 3
			     : 1,
		    4); /* none, program data, program data, strings */
		put(p, 0, 8);
		put(p, sections[i][1], 4);
		put(p, sections[i][2], 4);
		put(p, 0, 8);
		put(p, i ? 1 : 0, 4);
		put(p, 0, 4);
	}
}

static int find(const struct pen *p, size_t size, struct qeff_image_metadata *found,
		struct qeff_error *err)
{
	*err = (struct qeff_error){ 0 };
	*found = (struct qeff_image_metadata){ 0 };
	return qeff_image_find_metadata(p->bytes, size, found, err);
}

static void test_image(void)
{
	struct qeff_image_metadata found;
	struct qeff_error err;
	struct pen p;

	hand_elf(&p);
	CU_ASSERT_EQUAL_FATAL(find(&p, p.n, &found, &err), 0);
	CU_ASSERT_STRING_EQUAL(found.section, "metadata_fb");
	CU_ASSERT_EQUAL_FATAL(found.size_bytes, 3);
	CU_ASSERT_EQUAL(memcmp(found.data, "xyz", 3), 0);
	/* without its contents, the other one */
	set(p.bytes + 180 + 20, 0, 4);
	CU_ASSERT_EQUAL_FATAL(find(&p, p.n, &found, &err), 0);
	CU_ASSERT_STRING_EQUAL(found.section, "metadata");
	CU_ASSERT_EQUAL_FATAL(found.size_bytes, 4);
	CU_ASSERT_EQUAL(memcmp(found.data, "abcd", 4), 0);
	set(p.bytes + 140 + 20, 0, 4);
	CU_ASSERT_EQUAL(find(&p, p.n, &found, &err), -ENOENT);
	CU_ASSERT(says(&err, "no section"));

	hand_elf(&p);
	set(p.bytes + 180 + 16, 258, 4); /* three bytes at the last two */
	CU_ASSERT_EQUAL(find(&p, p.n, &found, &err), -EINVAL);
	CU_ASSERT(says(&err, "metadata_fb"));
	set(p.bytes + 180 + 16, 0xffffffff, 4);
	CU_ASSERT_EQUAL(find(&p, p.n, &found, &err), -EINVAL);
	hand_elf(&p);
	set(p.bytes + 180 + 4, 8, 4); /* a section without bytes in the file */
	CU_ASSERT_EQUAL(find(&p, p.n, &found, &err), -EINVAL);
	hand_elf(&p);
	set(p.bytes + 18, 62, 2);
	CU_ASSERT_EQUAL(find(&p, p.n, &found, &err), -EINVAL);
	CU_ASSERT(says(&err, "machine 62"));
	hand_elf(&p);
	p.bytes[5] = 2; /* big-endian */
	CU_ASSERT_EQUAL(find(&p, p.n, &found, &err), -EINVAL);
	for (size_t n = 0; n < p.n; n++) {
		struct pen *cut = exact_copy(&p, sizeof(p));
		uint8_t *bytes;

		hand_elf(cut);
		bytes = exact_copy(cut->bytes, n);
		err = (struct qeff_error){ 0 };
		CU_ASSERT_NOT_EQUAL(qeff_image_find_metadata(bytes, n, &found, &err), 0);
		CU_ASSERT_NOT_EQUAL(err.message[0], 0);
		free(bytes);
		free(cut);
	}
}

static void test_image_write(void)
{
	struct qeff_image_metadata found;
	struct qeff_bytes image = { 0 }, again = { 0 };
	struct qeff_error err = { 0 };

	CU_ASSERT_EQUAL_FATAL(qeff_image_write("0123456789", 10, &image, &err), 0);
	CU_ASSERT_EQUAL(memcmp(image.data, "\177ELF\1\1\1", 7), 0);
	CU_ASSERT_EQUAL(image.data[16], 2);
	CU_ASSERT_EQUAL(image.data[18], 164);
	CU_ASSERT_EQUAL(image.data[44], 0); /* nothing to load */
	CU_ASSERT_EQUAL(qeff_image_find_metadata(image.data, image.size_bytes, &found, &err), 0);
	CU_ASSERT_STRING_EQUAL(found.section, "metadata");
	CU_ASSERT_EQUAL_FATAL(found.size_bytes, 10);
	CU_ASSERT_EQUAL(memcmp(found.data, "0123456789", 10), 0);
	CU_ASSERT_EQUAL((found.data - image.data) % 8, 0);
	CU_ASSERT_EQUAL_FATAL(qeff_image_write("0123456789", 10, &again, &err), 0);
	CU_ASSERT_EQUAL_FATAL(image.size_bytes, again.size_bytes);
	CU_ASSERT_EQUAL(memcmp(image.data, again.data, again.size_bytes), 0);
	qeff_bytes_free(&image);
	qeff_bytes_free(&again);
}

static const struct unit_test tests[] = {
	{ "image", test_image },
	{ "image_write", test_image_write },
};

QEFF_UNIT_MAIN("qpc image", tests)
