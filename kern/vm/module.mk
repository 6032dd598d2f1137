vm_deps := base arch core mem sched
