/* Devices, in the order in which they need each other. */
#include <dev/tty.h>
#include <dev/virtio.h>

void dev_init(void)
{
	memdev_init();
	tty_init();
	serial_init();
	virtio_init();
}
