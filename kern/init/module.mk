init_deps := base arch core mem sched vm vfs ipc dev fs proc abi
