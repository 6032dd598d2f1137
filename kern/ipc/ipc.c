/* Start-up of inter-process communication. */
#include <ipc/eventfd.h>
#include "ipc_priv.h"

void ipc_init(void)
{
	pipe_init();
	epoll_init();
	inotify_init();
	socket_init();
}
