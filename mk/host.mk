# What runs on the host or in every guest whatever the kernel: set-up, BusyBox, the agent, the
# default root.  Included by the top Makefile.

MUSL_CC := musl-gcc
AGENT_CFLAGS := -static -no-pie -fno-pie -Os -g0 -Wall -Wextra -Wshadow -Werror

AGENT_SOURCES := $(wildcard guest/*.c)
AGENT_HEADERS := $(wildcard guest/*.h)

build/agent: $(AGENT_SOURCES) $(AGENT_HEADERS) | build/.setup
	@mkdir -p build
	$(MUSL_CC) $(AGENT_CFLAGS) -s -o $@ $(AGENT_SOURCES)

build/busybox/busybox: tools/build-busybox | build/.setup
	tools/build-busybox
	@touch $@

build/linux/vmlinuz: | build/.setup
	tools/fetch-linux

# The agent alone, which the launcher adds to a root that is not ours.
build/agent.cpio: build/agent tools/mkinitramfs tools/saker/cpio.py
	printf 'file /.saker-agent 755 build/agent\n' >build/agent.spec
	tools/mkinitramfs -o $@ build/agent.spec

build/initramfs.cpio: guest/rootfs.spec build/agent build/busybox/busybox tools/mkinitramfs \
		tools/saker/cpio.py
	tools/mkinitramfs -o $@ guest/rootfs.spec

build/tsc-khz: tools/tsc-khz.c | build/.setup
	gcc -O2 -Wall -Wextra -Werror -o $@ $<

HOST_OUTPUTS := build/tsc-khz build/agent build/agent.cpio build/initramfs.cpio
