# Host tests and fuzz targets: kernel sources compiled for the build machine.
#
#   make -f mk/hosttest.mk host-tests    build/host/<path of the test without .c>
#   make -f mk/hosttest.mk fuzz-targets  build/fuzz/<name>
#
# A test is any kern/**/*_test.c or tests/host/*_test.c.  It names the kernel sources it needs beyond
# the always present library in comment lines "host-sources: a.c @vm".  The library holds base and the
# fakes of tests/host; a fake is linked only where no named source defines the symbol.

HT_TESTS	:= $(shell find kern tests/host -name '*_test.c' | sort)
HT_FUZZ		:= $(sort $(wildcard tests/fuzz/*_fuzz.c))
HT_LIB_SRCS	:= $(wildcard tests/host/fake_*.c) kern/base/bitmap.c kern/base/fmt.c kern/base/rbtree.c \
		   kern/base/text.c kern/mem/buddy.c kern/mem/block.c kern/mem/compact.c $(wildcard kern/core/uio.c)

HT_CC		?= gcc
# The first clang that has libFuzzer's runtime.
FUZZ_CC		?= $(shell for c in clang clang-14 clang-16 clang-19 clang-22; do \
			d=$$($$c -print-resource-dir 2>/dev/null) || continue; \
			[ -z "$$(find $$d/lib -name 'libclang_rt.fuzzer*')" ] || { echo $$c; break; }; done)
HT_GEN		:= build/gen
HT_INC		:= -Itests/host/include $(patsubst %,-I%,$(wildcard kern/*/include)) -I$(HT_GEN) -Ikern
HT_CFLAGS	:= -std=gnu2x -O1 -g -fno-omit-frame-pointer -fno-strict-aliasing -DSAKER_HOST -DSAKER_DEBUG \
		   -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers \
		   -fsanitize=address,undefined -fno-sanitize-recover=all
# gcc is the compiler whose warnings count.
FUZZ_CFLAGS	:= $(filter-out -W%,$(HT_CFLAGS)) -std=gnu2x -w

# What host-sources calls @vm and @vfs: the address spaces without the checkers that need all CPUs, the file tree.
HT_SET_vm	:= $(patsubst %,kern/vm/%.c,access advise area areaset aspace collapse compact fault fork gap gather huge image image_build \
		   image_huge image_table map object pagecache pageio pgtable radix reclaim remap rmap stack table)
HT_SET_vfs	:= $(patsubst %,kern/vfs/%.c,attr chardev cpio cred dentry fdtable file fs_view hugetlb init initramfs locks lookup memfd \
		   mount mount_op namei open path_text ramfs ramfs_dir ramfs_file rename seq super vnode \
		   walk walk_link xattr)

ht_sources = $(foreach w,$(shell sed -n 's/.*host-sources: *//p' $(1) | sed 's,\*/,,'),$(if \
	$(filter @%,$(w)),$(or $(HT_SET_$(w:@%=%)),$(error $(1): no set $(w))),$(w)))

.PHONY: host-tests fuzz-targets
host-tests: $(HT_TESTS:%.c=build/host/%)
fuzz-targets: $(HT_FUZZ:tests/fuzz/%.c=build/fuzz/%)

$(HT_GEN)/base/errno.h: spec/errno.tbl tools/gen/errno.awk
	@mkdir -p $(@D)
	awk -f tools/gen/errno.awk $< > $@.tmp && mv $@.tmp $@
$(HT_GEN)/core/lockrank.h: spec/lockorder.tbl tools/gen/lockrank.awk
	@mkdir -p $(@D)
	awk -f tools/gen/lockrank.awk $< > $@.tmp && mv $@.tmp $@
$(HT_GEN)/core/trace_events.h: spec/trace.tbl tools/gen/trace.py
	@mkdir -p $(@D)
	@/usr/bin/python3 tools/gen/trace.py header > $@.tmp && mv $@.tmp $@
HT_HEADERS := $(HT_GEN)/base/errno.h $(HT_GEN)/core/lockrank.h $(HT_GEN)/core/trace_events.h

build/host/obj/%.o: %.c $(HT_HEADERS) mk/hosttest.mk
	@mkdir -p $(@D)
	@echo "  HCC  $<"
	@$(HT_CC) $(HT_CFLAGS) $(HT_INC) -I$(dir $<) -MMD -MP -c -o $@ $<
build/fuzz/obj/%.o: %.c $(HT_HEADERS) mk/hosttest.mk
	@mkdir -p $(@D)
	@echo "  FCC  $<"
	@$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link $(HT_INC) -I$(dir $<) -MMD -MP -c -o $@ $<

build/host/libfake.a: $(HT_LIB_SRCS:%.c=build/host/obj/%.o)
	@rm -f $@ && ar crs $@ $^
build/fuzz/libfake.a: $(HT_LIB_SRCS:%.c=build/fuzz/obj/%.o)
	@rm -f $@ && ar crs $@ $^

define host_test_rule
build/host/$(1:.c=): build/host/obj/$(1:.c=.o) $(patsubst %.c,build/host/obj/%.o,$(call ht_sources,$(1))) \
		build/host/obj/tests/host/harness.o build/host/libfake.a
	@mkdir -p $$(@D)
	@echo "  HLD  $$@"
	@$(HT_CC) $(HT_CFLAGS) -o $$@ $$^
endef
$(foreach t,$(HT_TESTS),$(eval $(call host_test_rule,$(t))))

define fuzz_rule
build/fuzz/$(notdir $(1:.c=)): build/fuzz/obj/$(1:.c=.o) $(patsubst %.c,build/fuzz/obj/%.o,$(call ht_sources,$(1))) \
		build/fuzz/obj/tests/host/fuzz.o build/fuzz/libfake.a
	@echo "  FLD  $$@"
	@$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $$@ $$^
endef
$(foreach t,$(HT_FUZZ),$(eval $(call fuzz_rule,$(t))))

-include $(shell find build/host/obj build/fuzz/obj -name '*.d' 2>/dev/null)
