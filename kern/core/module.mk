core_deps := base arch
