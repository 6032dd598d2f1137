/*
 * First instructions.  Three ways in, one way on:
 *   boot_pvh32	    PVH: 32-bit, paging off, ebx = struct hvm_start_info
 *   boot_bz32	    from the bzImage stub: 32-bit, paging off, esi = struct boot_params
 *   boot_linux64   Linux 64-bit protocol: long mode, identity mapped, rsi = struct boot_params
 *   boot_bz64	    the same from the bzImage stub
 * Each leaves edi = protocol number, rsi = physical address of the parameters
 * and continues in boot_high on tables that map the first 4 GiB three times:
 * identity, direct map and (1 GiB) the kernel's link address.
 */
#include "x86.h"

#define PHYS(x) ((x) - KERNEL_OFFSET)
#define PROTO_PVH     0
#define PROTO_LINUX64 1
#define PROTO_BZIMAGE 2

	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 8, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.quad PHYS(boot_pvh32)

	.globl boot_linux64_phys, boot_bz32_phys, boot_bz64_phys
	.set boot_linux64_phys, PHYS(boot_linux64)
	.set boot_bz32_phys, PHYS(boot_bz32)
	.set boot_bz64_phys, PHYS(boot_bz64)

	.section .init.text, "ax"
	.code32
	.globl boot_pvh32, boot_bz32
boot_pvh32:
	movl %ebx, %esi
	movl $PROTO_PVH, %edi
	jmp 1f
boot_bz32:
	movl $PROTO_BZIMAGE, %edi
1:	cli
	cld
	movl $PHYS(boot_stack_top), %esp
	movl $0x80000000, %eax
	cpuid
	cmpl $0x80000001, %eax
	jb no_long_mode
	movl $0x80000001, %eax
	cpuid
	btl $29, %edx
	jnc no_long_mode
	lgdt PHYS(boot_gdt_ptr)
	movl $CR4_PAE, %eax
	movl %eax, %cr4
	movl $PHYS(boot_pml4), %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	rdmsr
	orl $EFER_LME, %eax
	wrmsr
	movl $(CR0_PE | CR0_MP | CR0_NE | CR0_WP | CR0_PG), %eax
	movl %eax, %cr0
	ljmpl $SEL_KERNEL_CS, $PHYS(boot_long)

no_long_mode:
	movl $PHYS(no_long_mode_text), %esi
2:	lodsb
	testb %al, %al
	jz 3f
	movw $0x3f8, %dx
	outb %al, %dx
	jmp 2b
3:	hlt
	jmp 3b

	.code64
	.globl boot_linux64, boot_bz64
boot_linux64:
	movl $PROTO_LINUX64, %edi
	jmp 1f
boot_bz64:
	movl $PROTO_BZIMAGE, %edi
1:	cli
	cld
	lgdt PHYS(boot_gdt_ptr)
	movl $CR4_PAE, %eax
	movq %rax, %cr4
	movl $PHYS(boot_pml4), %eax
	movq %rax, %cr3
	movl $(CR0_PE | CR0_MP | CR0_NE | CR0_WP | CR0_PG), %eax
	movq %rax, %cr0
	movl $PHYS(boot_stack_top), %esp
	pushq $SEL_KERNEL_CS
	pushq $PHYS(boot_long)
	lretq

boot_long:
	movq $boot_high, %rax
	jmp *%rax
boot_high:
	movl $SEL_KERNEL_DS, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movq $boot_stack_top, %rsp
	/* The boot CPU's per-CPU area is the template itself. */
	movq $__percpu_load, %rdx
	movl %edx, %eax
	shrq $32, %rdx
	movl $MSR_GS_BASE, %ecx
	wrmsr
	movl %edi, %edi
	xorl %ebp, %ebp
	call boot_main
	ud2

/* Secondary CPUs arrive from the trampoline: long mode, boot tables, edi = CPU number. */
	.globl ap_entry64
ap_entry64:
	movq $1f, %rax
	jmp *%rax
1:	movl $SEL_KERNEL_DS, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	/* The stack and the per-CPU area are not in the boot tables; the trampoline's GDT is only there. */
	movq kernel_root_phys, %rax
	movq %rax, %cr3
	movl %edi, %edi
	movq percpu_offsets, %rax
	movq (%rax,%rdi,8), %rdx
	movl %edx, %eax
	shrq $32, %rdx
	movl $MSR_GS_BASE, %ecx
	wrmsr
	movq ap_stack_top, %rsp
	xorl %ebp, %ebp
	call arch_ap_start
	ud2

	.section .init.data, "aw"
no_long_mode_text:
	.asciz "Saker: this CPU has no 64-bit mode\r\n"
	.balign 8
	.globl boot_gdt_ptr
boot_gdt_ptr:
	.word boot_gdt_end - boot_gdt - 1
	.quad PHYS(boot_gdt)
	.balign 8
boot_gdt:
	.quad 0
	.quad 0x00cf9b000000ffff	/* 0x08: 32-bit code */
	.quad 0x00af9b000000ffff	/* 0x10: 64-bit code */
	.quad 0x00cf93000000ffff	/* 0x18: data */
boot_gdt_end:

	.balign 4096
	.globl boot_pml4
boot_pml4:
	.quad PHYS(boot_pdpt_low) + 3
	.fill 272, 8, 0
	.quad PHYS(boot_pdpt_low) + 3	/* 273: DIRECT_BASE */
	.fill 237, 8, 0
	.quad PHYS(boot_pdpt_high) + 3
boot_pdpt_low:
	.quad PHYS(boot_pd) + 3
	.quad PHYS(boot_pd) + 0x1003
	.quad PHYS(boot_pd) + 0x2003
	.quad PHYS(boot_pd) + 0x3003
	.fill 508, 8, 0
boot_pdpt_high:
	.fill 510, 8, 0
	.quad PHYS(boot_pd) + 3
	.quad 0
boot_pd:
	.set i, 0
	.rept 2048
	.quad (i << 21) + 0x83
	.set i, i + 1
	.endr

	.balign 16
	.fill 8192, 1, 0
boot_stack_top:

	.section .percpu.head, "aw"
	.balign 64
	.globl percpu_head
percpu_head:
	.quad 0, 0, 0, 0, 0
	.quad 0x595e9fbd94fda700	/* until boot_main chooses another */
	.balign 64
