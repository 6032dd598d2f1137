# The benchmark program, its root, and the instruction counter that QEMU loads.
# The program is linked where BusyBox is not: the counter knows its marks by their addresses.

BENCH_OUT	:= build/bench
BENCH_SOURCES	:= $(filter-out bench/count.c,$(wildcard bench/*.c))
BENCH_CFLAGS	:= -std=gnu11 -O2 -Wall -Wextra -Werror -Wno-missing-field-initializers \
		   -fno-pie -no-pie -static -Wl,-Ttext-segment=0x10000000 -fno-stack-protector \
		   -fcf-protection=none \
		   -idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu

$(BENCH_OUT)/bench: $(BENCH_SOURCES) bench/bench.h mk/bench.mk
	@mkdir -p $(@D)
	$(MUSL_CC) $(BENCH_CFLAGS) -o $@ $(BENCH_SOURCES)

$(BENCH_OUT)/count.so: bench/count.c mk/bench.mk
	@mkdir -p $(@D)
	gcc -O2 -Wall -Wextra -Werror -shared -fPIC -fvisibility=hidden -o $@ $<

# The default root with the benchmark as a second program; the kernel is told which is init.
$(BENCH_OUT)/root.cpio: $(BENCH_OUT)/bench guest/rootfs.spec build/agent build/busybox/busybox \
		tools/mkinitramfs
	@printf 'dir /bench 755\nfile /bench/bench 755 $(BENCH_OUT)/bench\n' >$(BENCH_OUT)/bench.spec
	tools/mkinitramfs -o $@ guest/rootfs.spec $(BENCH_OUT)/bench.spec

.PHONY: bench-programs
bench-programs: $(BENCH_OUT)/root.cpio $(BENCH_OUT)/count.so build/tsc-khz
