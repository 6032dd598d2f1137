# Guest tests: one static program per file of tests/guest, into build/guest/.
#
# musl and ET_EXEC by default; GUEST_PIE are static-PIE; GUEST_GLIBC are built a
# second time, with glibc, as NAME.glibc.

GUEST_DIR	:= tests/guest
GUEST_OUT	:= build/guest
GUEST_LIB	:= tap run-all
GUEST_NAMES	:= $(filter-out $(GUEST_LIB),$(basename $(notdir $(wildcard $(GUEST_DIR)/*.c))))
GUEST_PIE	:= $(filter proc_auxv mm_map sig_frame thread_basic libc_stdio,$(GUEST_NAMES))
GUEST_GLIBC	:= $(filter thread_% futex_% libc_% smoke sig_frame time_vdso,$(GUEST_NAMES))

GUEST_MUSL_CC	?= musl-gcc
GUEST_GLIBC_CC	?= gcc
GUEST_CFLAGS	:= -std=gnu11 -O1 -Wall -Wextra -Werror -Wno-unused-result \
		   -Wno-missing-field-initializers -Wno-format-truncation -pthread \
		   -fno-stack-protector -fcf-protection=none
GUEST_MUSL_INC	:= -idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu

# musl-gcc has no -static-pie: its start file and no interpreter, by hand.
GUEST_MUSL_LIB	?= /usr/lib/x86_64-linux-musl
GUEST_LINK	:= -fno-pie -no-pie -static
GUEST_LINK_PIE	:= -fPIE -static -nostartfiles -Wl,-pie,--no-dynamic-linker,-z,text \
		   $(GUEST_MUSL_LIB)/rcrt1.o $(GUEST_MUSL_LIB)/crti.o $(GUEST_MUSL_LIB)/crtn.o

GUEST_PROGS	:= $(GUEST_NAMES:%=$(GUEST_OUT)/bin/%) $(GUEST_GLIBC:%=$(GUEST_OUT)/bin/%.glibc)

.PHONY: guest-tests
guest-tests: $(GUEST_OUT)/root.cpio

$(GUEST_OUT)/bin/%.glibc: $(GUEST_DIR)/%.c $(GUEST_DIR)/tap.c $(wildcard $(GUEST_DIR)/*.h) mk/tests.mk
	@mkdir -p $(@D)
	$(GUEST_GLIBC_CC) $(GUEST_CFLAGS) -static -s -o $@ $< $(GUEST_DIR)/tap.c -lm

$(GUEST_OUT)/bin/%: $(GUEST_DIR)/%.c $(GUEST_DIR)/tap.c $(wildcard $(GUEST_DIR)/*.h) mk/tests.mk
	@mkdir -p $(@D)
	$(GUEST_MUSL_CC) $(GUEST_CFLAGS) $(GUEST_MUSL_INC) \
		$(if $(filter $*,$(GUEST_PIE)),$(GUEST_LINK_PIE),$(GUEST_LINK)) \
		-s -o $@ $< $(GUEST_DIR)/tap.c -lm

$(GUEST_OUT)/run-all: $(GUEST_DIR)/run-all.c mk/tests.mk
	@mkdir -p $(@D)
	$(GUEST_MUSL_CC) $(GUEST_CFLAGS) -static -no-pie -s -o $@ $<

# Rewritten only when the set of programs changes.
$(GUEST_OUT)/list: $(GUEST_PROGS)
	@for p in $(sort $(notdir $(GUEST_PROGS))); do echo $$p; done > $@.new
	@cmp -s $@.new $@ && rm $@.new && touch $@ || mv $@.new $@

# The root the tests boot with: the default one and /tests.
$(GUEST_OUT)/root.cpio: $(GUEST_OUT)/list $(GUEST_OUT)/run-all guest/rootfs.spec build/agent \
		build/busybox/busybox tools/mkinitramfs
	@{ printf 'dir /tests 755\ndir /tests/bin 755\n'; \
	   printf 'file /tests/run-all 755 $(GUEST_OUT)/run-all\n'; \
	   printf 'file /tests/list 644 $(GUEST_OUT)/list\n'; \
	   while read p; do printf "file /tests/bin/$$p 755 $(GUEST_OUT)/bin/$$p\n"; done \
		<$(GUEST_OUT)/list; } >$(GUEST_OUT)/tests.spec
	tools/mkinitramfs -o $@ guest/rootfs.spec $(GUEST_OUT)/tests.spec
