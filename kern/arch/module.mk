arch_deps := base core
