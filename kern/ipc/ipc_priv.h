/* Private to ipc: start-up of the parts. */
#pragma once

void pipe_init(void);
void epoll_init(void);
void inotify_init(void);
void socket_init(void);
