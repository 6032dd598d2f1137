/* The vDSO as it was linked (mk/kernel.mk), in pages of its own. */
	.section .rodata
	.balign 4096
	.globl vdso_image, vdso_image_end
vdso_image:
	.incbin "vdso.so"
	.balign 4096
vdso_image_end:
