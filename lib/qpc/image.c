/* SPDX-License-Identifier: MIT */
/*
 * The program image, through libelf. Reading trusts nothing in it: header, section bounds and names
 * are checked before the metadata's range is given out.
 */
#include "qpc/image.h"

#include "util/checked.h"

#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef EM_HEXAGON
#define EM_HEXAGON 164
#endif
/* The version of the NSPs' instruction set: v68. */
#define HEXAGON_FLAGS	  0x68
#define SECTION_ALIGNMENT 8

static const char section_flat[] = "metadata_fb";
static const char section_any[] = "metadata";

static int elf_failed(struct qeff_error *err, const char *what)
{
	return qeff_error_set(err, -EINVAL, "program image: %s: %s", what, elf_errmsg(-1));
}

static int check_header(Elf *elf, size_t size_bytes, struct qeff_error *err)
{
	GElf_Ehdr header;

	if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &header))
		return qeff_error_set(err, -EINVAL, "program image: %zu bytes are not an ELF file",
				      size_bytes);
	if (header.e_ident[EI_CLASS] != ELFCLASS32 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
	    header.e_machine != EM_HEXAGON)
		return qeff_error_set(
			err, -EINVAL,
			"program image: expected a 32-bit little-endian ELF for machine %d, found class "
			"%d, data %d, machine %d",
			EM_HEXAGON, header.e_ident[EI_CLASS], header.e_ident[EI_DATA],
			header.e_machine);
	return 0;
}

/* Section @name, or a section of size 0. */
static int find_section(Elf *elf, const char *name, size_t size_bytes, GElf_Shdr *found,
			struct qeff_error *err)
{
	size_t names;
	Elf_Scn *section = NULL;

	*found = (GElf_Shdr){ 0 };
	if (elf_getshdrstrndx(elf, &names))
		return elf_failed(err, "section names");
	while ((section = elf_nextscn(elf, section))) {
		const char *section_name;
		GElf_Shdr header;

		if (!gelf_getshdr(section, &header))
			return elf_failed(err, "section header");
		section_name = elf_strptr(elf, names, header.sh_name);
		if (!section_name || strcmp(section_name, name))
			continue;
		if (header.sh_type == SHT_NOBITS ||
		    !qeff_range_valid(header.sh_offset, header.sh_size, size_bytes))
			return qeff_error_set(
				err, -EINVAL,
				"program image: section \"%s\": %llu bytes at offset %llu, the image has "
				"%zu (truncated?)",
				name, (unsigned long long)header.sh_size,
				(unsigned long long)header.sh_offset, size_bytes);
		*found = header;
		return 0;
	}
	return 0;
}

int qeff_image_find_metadata(const void *data, size_t size_bytes,
			     struct qeff_image_metadata *metadata, struct qeff_error *err)
{
	const char *const names[] = { section_flat, section_any };
	Elf *elf;
	int ret;

	elf_version(EV_CURRENT);
	/* read-only use: libelf does not write to memory that was opened this way unless asked to
	 */
	elf = elf_memory((char *)data, size_bytes);
	if (!elf)
		return qeff_error_set(err, -EINVAL, "program image: %zu bytes are not an ELF file",
				      size_bytes);
	ret = check_header(elf, size_bytes, err);
	for (size_t i = 0; i < 2 && !ret; i++) {
		GElf_Shdr section;

		ret = find_section(elf, names[i], size_bytes, &section, err);
		if (ret || !section.sh_size)
			continue;
		*metadata = (struct qeff_image_metadata){
			.section = names[i],
			.data = (const uint8_t *)data + section.sh_offset,
			.size_bytes = (size_t)section.sh_size,
		};
		goto out;
	}
	if (!ret)
		ret = qeff_error_set(err, -ENOENT,
				     "program image: it has no section \"%s\" or \"%s\"",
				     section_flat, section_any);
out:
	elf_end(elf);
	return ret;
}

/* A section of the image under construction; @data must live until elf_update(). */
static int add_section(Elf *elf, uint32_t name, uint32_t type, const void *data, size_t size_bytes,
		       size_t alignment, struct qeff_error *err)
{
	Elf_Data *content;
	Elf32_Shdr *header;
	Elf_Scn *section;

	elf_errno(); /* forgets what was before */
	section = elf_newscn(elf);
	/* out of memory, libelf may return a section that it has not finished; nothing may use it
	 */
	if (elf_errno() || !section)
		return qeff_error_set(err, -ENOMEM, "program image: new section: out of memory");
	content = elf_newdata(section);
	header = content ? elf32_getshdr(section) : NULL;
	if (!header)
		return elf_failed(err, "new section");
	content->d_buf = (void *)data;
	content->d_size = size_bytes;
	content->d_align = alignment;
	content->d_type = ELF_T_BYTE;
	header->sh_name = name;
	header->sh_type = type;
	return 0;
}

static int build(Elf *elf, const void *metadata, size_t size_bytes, struct qeff_error *err)
{
	static const char names[] = "\0metadata\0.shstrtab";
	Elf32_Ehdr *header = elf32_newehdr(elf);
	int ret;

	if (!header)
		return elf_failed(err, "new header");
	header->e_ident[EI_DATA] = ELFDATA2LSB;
	header->e_machine = EM_HEXAGON;
	header->e_type = ET_EXEC;
	header->e_version = EV_CURRENT;
	header->e_flags = HEXAGON_FLAGS;
	header->e_shstrndx = 2;
	ret = add_section(elf, 1, SHT_PROGBITS, metadata, size_bytes, SECTION_ALIGNMENT, err);
	if (!ret)
		ret = add_section(elf, 10, SHT_STRTAB, names, sizeof(names), 1, err);
	if (!ret && elf_update(elf, ELF_C_WRITE) < 0)
		ret = elf_failed(err, "write");
	return ret;
}

static int append_file(int fd, struct qeff_bytes *out, struct qeff_error *err)
{
	off_t size = lseek(fd, 0, SEEK_END);
	uint8_t *to = size < 0 ? NULL : qeff_bytes_append(out, NULL, (size_t)size);

	if (!to)
		return qeff_error_set(err, -ENOMEM, "program image: out of memory");
	if (pread(fd, to, (size_t)size, 0) != size)
		return qeff_error_set(err, -EIO, "program image: cannot read back %lld bytes",
				      (long long)size);
	return 0;
}

int qeff_image_write(const void *metadata, size_t size_bytes, struct qeff_bytes *out,
		     struct qeff_error *err)
{
	/* libelf writes to files only */
	int fd = memfd_create("qeff-image", MFD_CLOEXEC), ret;
	char text[128];
	Elf *elf;

	if (fd < 0)
		return qeff_error_set(err, -errno,
				      "program image: cannot make a file in memory: %s",
				      qeff_strerror(errno, text, sizeof(text)));
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_WRITE, NULL);
	if (!elf) {
		ret = elf_failed(err, "begin");
	} else {
		ret = build(elf, metadata, size_bytes, err);
		elf_end(elf);
	}
	if (!ret)
		ret = append_file(fd, out, err);
	close(fd);
	return ret;
}
