/*
 * Virtio devices: found and started at boot by virtio_init(), in the boot
 * thread.  What the rest of the kernel sees of them: the ports of consoles.
 */
#pragma once

#include <base/attrs.h>

void virtio_init(void);

/* A port of a virtio console: /dev/vportNpM.  Valid for ever. */
struct virtio_port_info {
	const char *device;		/* "vportNpM" */
	const char *name;		/* given by the host; NULL: none */
	u32 major, minor;
};
/* The i-th port that there is; false: no more.  Ports keep their place. */
bool virtio_port_describe(u32 i, struct virtio_port_info *out);
