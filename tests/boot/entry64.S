/*
 * A boot loader for the Linux 64-bit protocol, as small as one can be: started by PVH, it goes
 * to long mode, makes struct boot_params from the PVH start information and enters the kernel
 * that lies in memory already.  loader64.py puts the two together and defines `entry'.
 * Offsets: Linux's boot protocol ("zero page", "64-bit boot protocol") and Xen's PVH start info.
 *
 * What the protocol leaves open is made unlike what Saker's own entries leave behind: CR4 has
 * more than PAE, EFER has NXE, the general registers and the stack pointer are rubbish.
 */
#define CR0_PE (1 << 0)
#define CR0_PG (1 << 31)
#define CR4_PAE_PGE_SSE (1 << 5 | 1 << 7 | 1 << 9 | 1 << 10)
#define EFER 0xc0000080
#define EFER_LME_NXE (1 << 8 | 1 << 11)
#define E820_MAX 128

	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 8, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.quad start

	.section .loader, "awx", @progbits
	.code32
	.globl start
start:
	cli
	lgdt gdt_ptr
	movl $CR4_PAE_PGE_SSE, %eax
	movl %eax, %cr4
	movl $pml4, %eax
	movl %eax, %cr3
	movl $EFER, %ecx
	rdmsr
	orl $EFER_LME_NXE, %eax
	wrmsr
	movl $(CR0_PE | CR0_PG), %eax
	movl %eax, %cr0
	ljmpl $0x10, $long_mode

	.code64
long_mode:
	movl $0x18, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %ebx, %ebx
	/* the memory map: 24 bytes an entry to 20 */
	movq 40(%rbx), %rsi
	movl 48(%rbx), %edx
	movb %dl, params + 0x1e8
	movl $params + 0x2d0, %edi
	cmpl $E820_MAX, %edx
	ja refuse
1:	movl $20, %ecx
	rep movsb
	addq $4, %rsi
	decl %edx
	jnz 1b
	/* the first module is the initramfs */
	cmpl $0, 12(%rbx)
	je 2f
	movq 16(%rbx), %rsi
	movq (%rsi), %rax
	movl %eax, params + 0x218
	shrq $32, %rax
	movl %eax, params + 0xc0
	movq 8(%rsi), %rax
	movl %eax, params + 0x21c
	shrq $32, %rax
	movl %eax, params + 0xc4
2:	movq 24(%rbx), %rax
	movl %eax, params + 0x228
	shrq $32, %rax
	movl %eax, params + 0xc8
	movq 32(%rbx), %rax
	movq %rax, params + 0x70
	movb $0xff, params + 0x210	/* type_of_loader: none that is known */
	movl $params, %esi
	movq $0x5a5a5a5a5a5a5a5a, %rax
	movq %rax, %rbx
	movq %rax, %rcx
	movq %rax, %rdx
	movq %rax, %rdi
	movq %rax, %rbp
	movq %rax, %rsp
	movq %rax, %r8
	movq %rax, %r9
	movq %rax, %r10
	movq %rax, %r11
	movq %rax, %r12
	movq %rax, %r13
	movq %rax, %r14
	jmp *target

refuse:	hlt
	jmp refuse

	.balign 8
target:	.quad entry
gdt_ptr:
	.word 31
	.quad gdt
	.balign 8
gdt:	.quad 0, 0
	.quad 0x00af9b000000ffff	/* 0x10: __BOOT_CS */
	.quad 0x00cf93000000ffff	/* 0x18: __BOOT_DS */

	.balign 4096
pml4:	.quad pdpt + 3
	.fill 511, 8, 0
pdpt:	.quad pd + 3, pd + 0x1003, pd + 0x2003, pd + 0x3003
	.fill 508, 8, 0
pd:	.set i, 0
	.rept 2048
	.quad (i << 21) + 0x83
	.set i, i + 1
	.endr
/* The header as the kernel's file has it, at its offset; an ELF file has none. */
params:	.fill 0x1f1, 1, 0
header:	.incbin "header.bin"
	.fill 4096 - 0x1f1 - (. - header), 1, 0

	.section .kernel, "awx", @progbits
	.incbin "kernel.bin"
