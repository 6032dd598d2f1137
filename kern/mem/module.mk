mem_deps := base arch core
