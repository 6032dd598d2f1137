/*
 * What a bzImage has in front of the kernel (Linux boot protocol 2.15).
 *
 * .bz_setup is the real-mode part: the header that boot loaders read and fill
 * in, and code that asks the BIOS for the memory map and enters protected mode.
 * .bz_stub is loaded at 1 MiB: 32-bit entry at +0, 64-bit entry at +0x200.  It
 * moves the kernel that follows it up to its place, clears .bss and goes on at
 * the kernel's own entry points.  tools/gen/mkbzimage.py fills in the sizes.
 */
#include "x86.h"

#define STUB_BASE   0x100000
#define STUB_SIZE   0x1000
#define KERNEL_PHYS 0x200000
#define BP_OFFSET   0x1000		/* boot_params, in the setup segment */
#define E820_TABLE  (BP_OFFSET + 0x2d0)
#define E820_MAX    128

	.section .bz_setup, "", @progbits
	.code16
bz_start:
	.org 0x1f1
	.byte 7				/* setup_sects: 7 after the first */
	.word 1				/* root_flags */
	.globl bz_syssize
bz_syssize:
	.long 0
	.word 0
	.word 0xffff			/* vid_mode: leave it */
	.word 0
	.word 0xaa55
	.org 0x200
	.byte 0xeb, bz_entry - 1f
1:	.ascii "HdrS"
	.word 0x020f
	.long 0				/* realmode_swtch */
	.word 0x1000
	.word bz_version - 0x200
	.byte 0				/* type_of_loader */
	.byte 0x01			/* loadflags: LOADED_HIGH */
	.word 0x8000
	.long STUB_BASE			/* code32_start */
	.long 0, 0			/* ramdisk_image, ramdisk_size */
	.long 0
	.word 0x7e00			/* heap_end_ptr */
	.byte 0, 0
	.long 0				/* cmd_line_ptr */
	.long 0x7fffffff		/* initrd_addr_max */
	.long 0x200000			/* kernel_alignment */
	.byte 0				/* relocatable_kernel: no */
	.byte 21			/* min_alignment */
	.word 0x0001			/* xloadflags: XLF_KERNEL_64 */
	.long 65535			/* cmdline_size */
	.long 0				/* hardware_subarch */
	.quad 0
	.long STUB_SIZE, 0		/* payload_offset, payload_length */
	.quad 0				/* setup_data */
	.quad STUB_BASE			/* pref_address */
	.long 0				/* init_size */
	.long 0				/* handover_offset */
	.long bz_kernel_info - STUB_BASE
bz_header_end:

bz_entry:
	cli
	cld
	movw %cs, %ax
	subw $0x20, %ax			/* cs is 0x20 paragraphs past the start */
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl $0xfff0, %esp
	pushw %ax
	pushw $1f
	lretw
1:	/* boot_params: zero, then the header as the loader left it */
	xorl %eax, %eax
	movw $BP_OFFSET, %di
	movw $1024, %cx
	rep stosl
	movw $0x1f1, %si
	movw $BP_OFFSET + 0x1f1, %di
	movw $(bz_header_end - bz_start - 0x1f1), %cx
	rep movsb
	sti
	/* int 15h, eax = e820h: 20-byte entries, straight into the table */
	xorl %ebx, %ebx
	movw $E820_TABLE, %di
	xorl %ebp, %ebp
2:	movl $0xe820, %eax
	movl $20, %ecx
	movl $0x534d4150, %edx
	pushw %bp
	int $0x15
	popw %bp
	jc 3f
	cmpl $0x534d4150, %eax
	jne 3f
	incw %bp
	addw $20, %di
	cmpw $E820_MAX, %bp
	jae 3f
	testl %ebx, %ebx
	jnz 2b
3:	movw %bp, %ax
	movb %al, BP_OFFSET + 0x1e8
	testw %bp, %bp
	jnz 4f
	/* No E820: memory above 1 MiB in KiB, for alt_mem_k */
	movw $0xe801, %ax
	xorw %cx, %cx
	xorw %dx, %dx
	int $0x15
	jc 4f
	testw %cx, %cx
	jnz 5f
	movw %ax, %cx
	movw %bx, %dx
5:	movzwl %dx, %edx
	shll $6, %edx
	movzwl %cx, %ecx
	addl %edx, %ecx
	movl %ecx, BP_OFFSET + 0x1e0
4:	cli
	inb $0x92, %al			/* A20 */
	orb $2, %al
	andb $0xfe, %al
	outb %al, $0x92
	xorl %ebx, %ebx
	movw %ds, %bx
	shll $4, %ebx
	leal bz_gdt(%ebx), %eax
	movl %eax, bz_gdt_ptr + 2
	lgdtl bz_gdt_ptr
	leal BP_OFFSET(%ebx), %esi
	movl 0x214, %eax		/* code32_start, which the loader may have changed */
	leal bz_protected(%ebx), %ecx
	movl %ecx, bz_jump
	movl %cr0, %ecx
	orl $CR0_PE, %ecx
	movl %ecx, %cr0
	ljmpl *bz_jump
	.code32
bz_protected:
	movl $SEL_KERNEL_DS, %ecx
	movl %ecx, %ds
	movl %ecx, %es
	movl %ecx, %fs
	movl %ecx, %gs
	movl %ecx, %ss
	xorl %ebx, %ebx
	xorl %edi, %edi
	xorl %ebp, %ebp
	jmp *%eax

	.balign 8
bz_gdt:
	.quad 0, 0
	.quad 0x00cf9b000000ffff	/* 0x10: the protocol's __BOOT_CS */
	.quad 0x00cf93000000ffff	/* 0x18: __BOOT_DS */
bz_gdt_ptr:
	.word 31
	.long 0
	.balign 4
bz_jump:
	.long 0
	.word 0x10
bz_version:
	.asciz "Saker"
	.org 4096

	.section .bz_stub, "", @progbits
	.code32
stub_start:
	cli
	movl %esi, %ebx
	movl bz_payload_size, %ecx
	leal STUB_BASE + STUB_SIZE - 4(%ecx), %esi
	leal KERNEL_PHYS - 4(%ecx), %edi
	shrl $2, %ecx
	std				/* the two ranges overlap: from the end */
	rep movsl
	cld
	movl bz_payload_size, %ecx
	leal KERNEL_PHYS(%ecx), %edi
	movl bz_memory_size, %edx
	subl %ecx, %edx
	movl %edx, %ecx
	shrl $2, %ecx
	xorl %eax, %eax
	rep stosl
	movl %ebx, %esi
	movl $boot_bz32_phys, %eax
	jmp *%eax

	.org 0x200
	.code64
	cli
	movq %rsi, %rbx
	movl bz_payload_size, %ecx
	leaq STUB_BASE + STUB_SIZE - 8(%rcx), %rsi
	leaq KERNEL_PHYS - 8(%rcx), %rdi
	shrq $3, %rcx
	std
	rep movsq
	cld
	movl bz_payload_size, %ecx
	leaq KERNEL_PHYS(%rcx), %rdi
	movl bz_memory_size, %edx
	subl %ecx, %edx
	movl %edx, %ecx
	shrq $3, %rcx
	xorl %eax, %eax
	rep stosq
	movq %rbx, %rsi
	movl $boot_bz64_phys, %eax
	jmp *%rax

	.org 0x300
bz_payload_size:
	.long 0
bz_memory_size:
	.long 0
	.org 0x310
bz_kernel_info:
	.ascii "LToP"
	.long 16, 16, 0
	.org STUB_SIZE
