# Only in PLANT=1 builds (mk/kernel.mk): faults planted on purpose, for tests/planted.
plant_deps := base arch core mem sched vm vfs proc abi
