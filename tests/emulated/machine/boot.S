/* SPDX-License-Identifier: MIT */
/*
 * From a PC's boot sector to 64 bits with AVX-512 on, and the way into monitor.c for its system
 * calls. Everything runs in ring 0 over one identity mapping, interrupts off.
 */
#define PML4	  0x1000
#define PDPT	  0x2000
#define STACK	  0x7c00
#define SECTORS	  64 /* of this image behind the boot sector */
#define CODE	  0x08
#define DATA	  0x10
#define EFER	  0xc0000080
#define STAR	  0xc0000081
#define LSTAR	  0xc0000082
#define FMASK	  0xc0000084

	.section .boot, "ax"
	.code16
	.globl _start
_start:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$STACK, %sp
	movb	$0x42, %ah /* read by sector number, from the drive in %dl */
	movw	$packet, %si
	int	$0x13
	jc	stop
	cli /* the BIOS may have let them in */
	inb	$0x92, %al /* address line 20 */
	orb	$2, %al
	outb	%al, $0x92

	/* The first four gigabytes, one page each. */
	movw	$PML4, %di
	xorw	%ax, %ax
	movw	$0x1000, %cx
	cld
	rep	stosw
	movl	$(PDPT | 3), PML4
	movl	$0x00000083, PDPT
	movl	$0x40000083, PDPT + 8
	movl	$0x80000083, PDPT + 16
	movl	$0xc0000083, PDPT + 24
	movl	$PML4, %eax
	movl	%eax, %cr3
	movl	$0x40620, %eax /* PAE, OSFXSR, OSXMMEXCPT, OSXSAVE */
	movl	%eax, %cr4
	movl	$EFER, %ecx
	movl	$0x101, %eax /* LME, SCE */
	xorl	%edx, %edx
	wrmsr
	lgdt	descriptor
	movl	$0x80000033, %eax /* PG, NE, ET, MP, PE */
	movl	%eax, %cr0
	ljmp	$CODE, $wide
stop:
	hlt
	jmp	stop

	.balign	8
gdt:
	.quad	0
	.quad	0x00209a0000000000 /* CODE */
	.quad	0x0000920000000000 /* DATA */
descriptor:
	.word	descriptor - gdt - 1
	.long	gdt
	.balign	4
packet:
	.word	16, SECTORS, wide, 0
	.quad	1
	.org	510
	.word	0xaa55

	.text
	.code64
wide:
	movl	$DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$STACK, %esp
	xorl	%ecx, %ecx
	movl	$0xe7, %eax /* x87, SSE, AVX, masks, both halves of the wide registers */
	xorl	%edx, %edx
	xsetbv
	movl	$STAR, %ecx
	xorl	%eax, %eax
	movl	$CODE, %edx
	wrmsr
	movl	$LSTAR, %ecx
	movl	$entry, %eax
	xorl	%edx, %edx
	wrmsr
	movl	$FMASK, %ecx
	movl	$0x400, %eax /* direction */
	wrmsr
	call	monitor

/* void enter(uint64_t at, uint64_t stack) */
	.globl enter
enter:
	movq	%rsi, %rsp
	xorl	%edx, %edx
	jmp	*%rdi

/* The program's stack has a red zone: not one byte is pushed there. */
entry:
	movq	%rsp, program_stack
	movl	$STACK, %esp
	pushq	%rcx
	pushq	%r11
	pushq	%rdi
	pushq	%rsi
	pushq	%rdx
	pushq	%r8
	pushq	%r9
	pushq	%r10
	movq	%rax, %rcx
	call	system_call
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdx
	popq	%rsi
	popq	%rdi
	popfq
	popq	%rcx
	movq	program_stack, %rsp
	jmp	*%rcx

	.bss
	.balign	8
program_stack:
	.quad	0
