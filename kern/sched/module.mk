sched_deps := base arch core mem
