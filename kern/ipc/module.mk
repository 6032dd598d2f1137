ipc_deps := base arch core mem sched vm vfs dev
