/* SPDX-License-Identifier: MIT */
/*
 * Runs one statically linked Linux program on an emulated PC, without an operating system: loads it
 * from the disk behind itself, answers the few system calls that a test program makes, says what it
 * writes on the serial port, and ends with a line "exit STATUS" there.
 *
 * The disk: boot sector, 64 sectors of this, one sector of struct job, the program.
 */
#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#define JOB_SECTOR 65
#define STACK_TOP  0x1c000000ul /* the heap ends a megabyte below */
#define FILE_AT	   0x1c000000ul
#define FILE_MOST  0x3000000ul
#define SERIAL	   0x3f8
#define DISK	   0x1f0
#define FS_BASE	   0xc0000100
#define ENOMEM	   12
#define EBADF	   9
#define ENOSYS	   38
#define EXIT_PORT  0x8900

enum { /* system calls of x86-64 */
       WRITE = 1,
       FSTAT = 5,
       MMAP = 9,
       MPROTECT = 10,
       BRK = 12,
       WRITEV = 20,
       EXIT = 60,
       ARCH_PRCTL = 158,
       CLOCK_GETTIME = 228,
       EXIT_GROUP = 231,
       NEWFSTATAT = 262,
};

struct job {
	uint32_t bytes; /* of the program */
	uint16_t arguments, variables;
	char strings[504]; /* arguments, then variables, one behind the other */
};

struct vector {
	const char *at;
	uint64_t bytes;
};

void monitor(void);
void enter(uint64_t at, uint64_t stack);
long system_call(uint64_t a, uint64_t b, uint64_t c, uint64_t number);
void *memset(void *to, int value, size_t count);
void *memcpy(void *to, const void *from, size_t count);

static uint64_t heap;
static char last = '\n'; /* said */
static struct job job;

static void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

void *memset(void *to, int value, size_t count)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(count) : "a"(value) : "memory");
	return to;
}

void *memcpy(void *to, const void *from, size_t count)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(count) : : "memory");
	return to;
}

static void say(const char *text, uint64_t bytes)
{
	for (uint64_t i = 0; i < bytes; i++) {
		while (!(in8(SERIAL + 5) & 0x20))
			;
		last = text[i];
		out8(SERIAL, (uint8_t)last);
	}
}

static void say_number(uint64_t number)
{
	char digits[20];
	int first = sizeof(digits);

	do
		digits[--first] = (char)('0' + number % 10);
	while (number /= 10);
	say(digits + first, sizeof(digits) - (uint64_t)first);
}

static _Noreturn void leave(uint64_t status)
{
	static const char word[] = "Shutdown";

	if (last != '\n')
		say("\n", 1);
	say("exit ", 5);
	say_number(status);
	say("\n", 1);
	/* Until the last letter is on its way. */
	while (!(in8(SERIAL + 5) & 0x40))
		;
	for (int i = 0; word[i]; i++)
		out8(EXIT_PORT, (uint8_t)word[i]);
	for (;;)
		__asm__ volatile("cli; hlt");
}

static _Noreturn void give_up(const char *why)
{
	uint64_t bytes = 0;

	while (why[bytes])
		bytes++;
	say(why, bytes);
	leave(125);
}

static void read_sector(uint32_t sector, void *to)
{
	uint64_t words = 256;

	out8(DISK + 6, (uint8_t)(0xe0 | sector >> 24));
	out8(DISK + 2, 1);
	out8(DISK + 3, (uint8_t)sector);
	out8(DISK + 4, (uint8_t)(sector >> 8));
	out8(DISK + 5, (uint8_t)(sector >> 16));
	out8(DISK + 7, 0x20);
	while ((in8(DISK + 7) & 0x88) != 0x08)
		;
	__asm__ volatile("rep insw" : "+D"(to), "+c"(words) : "d"((uint16_t)DISK) : "memory");
}

static long set_break(uint64_t to)
{
	/* malloc() counts on zeros in what it gets. Nothing is taken back, so that this is rare. */
	if (to > heap && to < STACK_TOP - (1 << 20)) {
		memset((void *)heap, 0, to - heap);
		heap = to;
	}
	return (long)heap;
}

static long write_vectors(const struct vector *vectors, uint64_t count)
{
	long bytes = 0;

	for (uint64_t i = 0; i < count; i++) {
		say(vectors[i].at, vectors[i].bytes);
		bytes += (long)vectors[i].bytes;
	}
	return bytes;
}

long system_call(uint64_t a, uint64_t b, uint64_t c, uint64_t number)
{
	switch (number) {
	case WRITE:
		say((const char *)b, c);
		return (long)c;
	case WRITEV:
		return write_vectors((const struct vector *)b, c);
	case FSTAT:
	case NEWFSTATAT:
		return -EBADF; /* the C library then takes a buffer of its own size */
	case MMAP:
		return -ENOMEM; /* malloc() then takes the heap */
	case MPROTECT:
		return 0;
	case BRK:
		return set_break(a);
	case ARCH_PRCTL:
		if (a != 0x1002) /* set FS */
			return -ENOSYS;
		__asm__ volatile("wrmsr" : : "c"(FS_BASE), "a"((uint32_t)b), "d"(b >> 32));
		return 0;
	case CLOCK_GETTIME: /* no clock */
		memset((void *)b, 0, 16);
		return 0;
	case EXIT:
	case EXIT_GROUP:
		leave(a & 0xff);
	default:
		return -ENOSYS;
	}
}

/* Puts segments where they belong; returns the file's header. */
static const Elf64_Ehdr *load(void)
{
	const Elf64_Ehdr *elf = (const Elf64_Ehdr *)FILE_AT;
	const Elf64_Phdr *segment = (const Elf64_Phdr *)(FILE_AT + sizeof(*elf));

	if (!job.bytes || job.bytes > FILE_MOST)
		give_up("no program on the disk");
	for (uint32_t i = 0; i < (job.bytes + 511) / 512; i++)
		read_sector(JOB_SECTOR + 1 + i, (void *)(FILE_AT + (uint64_t)i * 512));
	if (elf->e_ident[1] != 'E' || elf->e_type != ET_EXEC || elf->e_phoff != sizeof(*elf))
		give_up("the program is not a static one at a fixed address");
	for (int i = 0; i < elf->e_phnum; i++, segment++) {
		if (segment->p_type != PT_LOAD)
			continue;
		memcpy((void *)segment->p_vaddr, (const void *)(FILE_AT + segment->p_offset),
		       segment->p_filesz);
		memset((void *)(segment->p_vaddr + segment->p_filesz), 0,
		       segment->p_memsz - segment->p_filesz);
		heap = (segment->p_vaddr + segment->p_memsz + 4095) & ~4095ul;
	}
	return elf;
}

/* Pointers to @count strings from @string on, and a zero; returns what is behind the strings. */
static const char *point(const char *string, uint32_t count, uint64_t **to)
{
	for (uint32_t i = 0; i < count; i++) {
		*(*to)++ = (uint64_t)string;
		while (*string++)
			;
	}
	*(*to)++ = 0;
	return string;
}

static void add_auxiliary(uint64_t **to, uint64_t type, uint64_t value)
{
	*(*to)++ = type;
	*(*to)++ = value;
}

void monitor(void)
{
	uint64_t *stack = (uint64_t *)(STACK_TOP - 4096), *to = stack;
	const Elf64_Ehdr *elf;
	const char *variables;

	out8(SERIAL + 3, 0x03); /* eight bits */
	read_sector(JOB_SECTOR, &job);
	elf = load();
	*to++ = job.arguments;
	variables = point(job.strings, job.arguments, &to);
	point(variables, job.variables, &to);
	add_auxiliary(&to, AT_PHDR, FILE_AT + elf->e_phoff);
	add_auxiliary(&to, AT_PHENT, sizeof(Elf64_Phdr));
	add_auxiliary(&to, AT_PHNUM, elf->e_phnum);
	add_auxiliary(&to, AT_PAGESZ, 4096);
	add_auxiliary(&to, AT_RANDOM, (uint64_t)&job); /* sixteen bytes, never mind which */
	add_auxiliary(&to, AT_NULL, 0);
	enter(elf->e_entry, (uint64_t)stack);
}
