# make run | make check | make | make lint | make bench: see README.md.

.DEFAULT_GOAL := all
JOBS ?= $(shell nproc)
MAKEFLAGS += --no-builtin-rules -j$(JOBS)
export JOBS

include mk/host.mk
-include mk/kernel.mk
-include mk/tests.mk
-include mk/bench.mk

ifneq ($(wildcard mk/kernel.mk),)
KERNEL_OUTPUTS := build/saker.elf build/saker.bzImage
endif

# Installs what is missing, once; the stamp is as new as the list of packages it was made from.
build/.setup: tools/setup
	@tools/setup
	@mkdir -p build
	@touch $@

# An included file is made before everything else: even the compiler may be missing.
ifneq ($(filter-out clean lint,$(or $(MAKECMDGOALS),all)),)
include build/.setup
endif

.PHONY: all setup run check check-full soak lint bench clean
all: $(KERNEL_OUTPUTS) $(HOST_OUTPUTS)

setup: build/.setup build/busybox/busybox build/linux/vmlinuz

run: all
	@./saker run

check: setup all
	@./saker test

check-full: setup all
	@./saker test --full

# Hours: the long forms, a hundred million operations of the model, the guest tests ten times over, the fuzzers for
# ten minutes each.
soak: setup all
	@SAKER_TEST_FULL=1 SAKER_TEST_REPEAT=10 SAKER_FUZZ_SECONDS=600 SAKER_MODEL_OPERATIONS=100000000 \
		./saker test host model fuzz guest stress

bench: setup all
	@./saker bench

# Each program in tools/lint/ is one check; it prints what is wrong and exits 1.
lint:
	@tools/setup lint
	@failed=0; for check in tools/lint/*; do \
		[ -x "$$check" ] || continue; \
		echo "lint: $${check##*/}"; \
		"$$check" || failed=1; \
	done; exit $$failed

# The kept downloads and the BusyBox build stay: build/linux, build/busybox.
clean:
	@for path in build/* build/.[!.]*; do \
		case $$path in build/linux|build/busybox) ;; *) rm -rf "$$path";; esac; \
	done
