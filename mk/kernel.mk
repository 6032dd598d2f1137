# Builds build/saker.elf and build/saker.bzImage from kern/.
# A module is kern/M/{include/M/*.h,*.c,module.mk}; its module.mk names the modules whose
# headers it may include (M_deps).  Every object gets -I for exactly those.

KERN_MODULES := base arch core mem sched vm vfs ipc dev fs proc abi init
# PLANT=1: a debug kernel with kern/plant linked in, which bends what it names __wrap_FUNCTION (tests/planted).
PLANT	?= 0
DEBUG	?= 0
ifeq ($(PLANT),1)
KERN_MODULES += plant
override DEBUG := 1
endif
include $(foreach m,$(KERN_MODULES),kern/$(m)/module.mk)

CC	?= gcc
KB	:= build/kern$(if $(filter 1,$(PLANT)),-planted,$(if $(filter 1,$(DEBUG)),-debug))
GEN	:= build/gen

KCFLAGS := -std=gnu2x -O2 -g -ffreestanding -fno-builtin-printf -nostdinc -isystem $(shell $(CC) -print-file-name=include) \
	-mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fno-pie -fno-pic -fno-common -fno-strict-aliasing \
	-fno-strict-overflow -fno-tree-loop-distribute-patterns -fno-omit-frame-pointer -momit-leaf-frame-pointer -mpreferred-stack-boundary=3 -fno-asynchronous-unwind-tables -fno-delete-null-pointer-checks \
	-fstack-protector-strong -fcf-protection=none -fno-jump-tables \
	-Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wframe-larger-than=2048 \
	-I$(GEN) $(if $(filter 1,$(DEBUG)),-DSAKER_DEBUG)
KLDFLAGS := -nostdlib -static -no-pie -z max-page-size=0x1000 -z noexecstack --build-id=none -T kern/arch/x86_64/saker.ld \
	$(if $(filter 1,$(PLANT)),$(patsubst __wrap_%,--wrap=%,$(sort $(shell grep -ho '__wrap_[a-z0-9_]*' kern/plant/*.c))))

# GEN_HEADERS exist before anything is compiled.
GEN_HEADERS := $(GEN)/base/errno.h $(GEN)/core/lockrank.h

$(GEN)/base/errno.h: spec/errno.tbl tools/gen/errno.awk
	@mkdir -p $(@D)
	awk -f tools/gen/errno.awk $< > $@.tmp && mv $@.tmp $@
$(GEN)/core/lockrank.h: spec/lockorder.tbl tools/gen/lockrank.awk
	@mkdir -p $(@D)
	awk -f tools/gen/lockrank.awk $< > $@.tmp && mv $@.tmp $@

-include mk/gen.mk

KOBJS :=
define module_rules
$(1)_srcs := $$(filter-out %_test.c,$$(wildcard kern/$(1)/*.c kern/$(1)/x86_64/*.c kern/$(1)/*/*.c)) $$(wildcard kern/$(1)/x86_64/*.S)
$(1)_srcs := $$(sort $$($(1)_srcs)) $$($(1)_gen_srcs)
$(1)_objs := $$(patsubst %,$(KB)/%.o,$$($(1)_srcs))
KOBJS += $$($(1)_objs)
$$($(1)_objs): KINC := -Ikern/$(1)/include $$(foreach d,$$($(1)_deps),-Ikern/$$(d)/include) -Ikern/$(1)
endef
$(foreach m,$(KERN_MODULES),$(eval $(call module_rules,$(m))))

$(KB)/%.c.o: %.c $(GEN_HEADERS)
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(CC) $(KCFLAGS) $(KINC) -MMD -MP -c -o $@ $<
$(KB)/%.S.o: %.S $(GEN_HEADERS)
	@mkdir -p $(@D)
	@echo "  AS   $<"
	@$(CC) $(KCFLAGS) $(KINC) -D__ASSEMBLER__ -MMD -MP -c -o $@ $<

# The vDSO: a program's code, linked by itself and put into the kernel as it is.
VDSO_DIR := kern/arch/x86_64/vdso
VDSO_CFLAGS := -std=gnu2x -O2 -ffreestanding -nostdinc -fPIC -fomit-frame-pointer -fno-stack-protector -fcf-protection=none \
	-fasynchronous-unwind-tables -fno-common -Wall -Wextra -Werror -Wstrict-prototypes -Ikern/arch/include
VDSO_LDFLAGS := -shared -Bsymbolic -soname linux-vdso.so.1 --hash-style=both --eh-frame-hdr --build-id=none -z noexecstack \
	-z max-page-size=0x1000

$(KB)/vdso.so: $(VDSO_DIR)/vdso.c $(VDSO_DIR)/vdso.ld kern/arch/include/arch/vdso_data.h mk/kernel.mk
	@mkdir -p $(@D)
	@echo "  VDSO $@"
	@$(CC) $(VDSO_CFLAGS) -c -o $(KB)/vdso.o $<
	@ld $(VDSO_LDFLAGS) -T $(VDSO_DIR)/vdso.ld -o $@.full $(KB)/vdso.o && objcopy --strip-all $@.full $@
$(KB)/kern/arch/x86_64/vdso_image.S.o: $(KB)/vdso.so
$(KB)/kern/arch/x86_64/vdso_image.S.o: KINC += -I$(KB)

# Two-stage link: the symbol table for backtraces is made from the first stage.  Debug kernels' has variables too, which
# the table itself moves: a table of that size is linked in first.
KSYMS := /usr/bin/python3 tools/gen/ksyms.py $(if $(filter 1,$(DEBUG)),--data)
$(KB)/stage1.elf: $(KOBJS) kern/arch/x86_64/saker.ld tools/gen/ksyms.py
	@echo "  LD   $@"
	@/usr/bin/python3 tools/gen/ksyms.py --empty > $(KB)/ksyms0.S && $(CC) -c -o $(KB)/ksyms0.o $(KB)/ksyms0.S
	@ld $(KLDFLAGS) -o $@ $(KOBJS) $(KB)/ksyms0.o
$(KB)/saker.elf: $(KB)/stage1.elf
	@nm -n $< | $(KSYMS) > $(KB)/ksyms.S && $(CC) -c -o $(KB)/ksyms.o $(KB)/ksyms.S
	@ld $(KLDFLAGS) -o $@ $(KOBJS) $(KB)/ksyms.o
ifeq ($(DEBUG),1)
	@nm -n $@ | $(KSYMS) > $(KB)/ksyms.S && $(CC) -c -o $(KB)/ksyms.o $(KB)/ksyms.S
	@ld $(KLDFLAGS) -o $@ $(KOBJS) $(KB)/ksyms.o
endif

SUFFIX := $(if $(filter 1,$(PLANT)),-planted,$(if $(filter 1,$(DEBUG)),-debug))
# The launcher decodes what this kernel writes by these.
KERNEL_TABLES := $(GEN)/trace.json $(GEN)/syscalls.json

build/saker$(SUFFIX).elf: $(KB)/saker.elf | $(KERNEL_TABLES)
	@echo "  ELF  $@"
	@objcopy --strip-debug $< $@
build/saker$(SUFFIX).bzImage: $(KB)/saker.elf tools/gen/mkbzimage.py
	@echo "  BZ   $@"
	@/usr/bin/python3 tools/gen/mkbzimage.py $< $@

.PHONY: kernel kernel-debug gen-headers
gen-headers: $(GEN_HEADERS)
kernel: build/saker$(SUFFIX).elf build/saker$(SUFFIX).bzImage
kernel-debug:
	$(MAKE) DEBUG=1 kernel

-include $(KOBJS:.o=.d)
