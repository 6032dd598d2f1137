/*
 * Where secondary CPUs start: copied to a page below 1 MiB, entered in real
 * mode with cs = page >> 4, ip = 0.  Goes to long mode on the boot tables and
 * on to ap_entry64.  Position independent: every address is computed from cs.
 */
#include "x86.h"

	.section .init.data, "aw"
	.balign 16
	.globl trampoline_start, trampoline_end, trampoline_cpu
	.code16
trampoline_start:
	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	movzwl %ax, %ebx
	shll $4, %ebx			/* ebx: linear address of this page */
	leal (tramp_gdt - trampoline_start)(%ebx), %eax
	movl %eax, (tramp_gdt_ptr - trampoline_start + 2)
	leal (tramp32 - trampoline_start)(%ebx), %eax
	movl %eax, (tramp_jump32 - trampoline_start)
	leal (tramp64 - trampoline_start)(%ebx), %eax
	movl %eax, (tramp_jump64 - trampoline_start)
	lgdtl (tramp_gdt_ptr - trampoline_start)
	movl %cr0, %eax
	orl $CR0_PE, %eax
	movl %eax, %cr0
	ljmpl *(tramp_jump32 - trampoline_start)

	.code32
tramp32:
	movl $SEL_KERNEL_DS, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl $CR4_PAE, %eax
	movl %eax, %cr4
	movl $(boot_pml4 - KERNEL_OFFSET), %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	rdmsr
	orl $(EFER_LME | EFER_NXE), %eax
	wrmsr
	movl $(CR0_PE | CR0_MP | CR0_NE | CR0_WP | CR0_PG), %eax
	movl %eax, %cr0
	ljmpl *(tramp_jump64 - trampoline_start)(%ebx)

	.code64
tramp64:
	movl (trampoline_cpu - trampoline_start)(%rbx), %edi
	movl $(ap_entry64 - KERNEL_OFFSET), %eax
	jmp *%rax

	.balign 8
tramp_gdt:
	.quad 0
	.quad 0x00cf9b000000ffff
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
tramp_gdt_ptr:
	.word 31
	.long 0
	.balign 4
tramp_jump32:
	.long 0
	.word 0x08
	.balign 4
tramp_jump64:
	.long 0
	.word SEL_KERNEL_CS
	.balign 4
trampoline_cpu:
	.long 0
trampoline_end:
