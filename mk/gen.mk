# What is made from spec/syscalls.tbl and spec/flags.tbl: prototypes, flags, dispatch table and
# metadata of the system calls, and the fuzzer's grammar.  Included by mk/kernel.mk.

SYSCALL_SPEC := spec/syscalls.tbl spec/flags.tbl tools/gen/syscalls.py
SYSCALL_HEADERS := $(GEN)/abi/sys_protos.h $(GEN)/abi/flags.h $(GEN)/abi/syscall_info.h
GEN_HEADERS += $(SYSCALL_HEADERS)
abi_gen_srcs := $(GEN)/abi/syscall_table.c

define syscall_gen
$(1): $$(SYSCALL_SPEC)
	@mkdir -p $$(@D)
	@/usr/bin/python3 tools/gen/syscalls.py $(2) > $$@.tmp && mv $$@.tmp $$@
endef
$(eval $(call syscall_gen,$(GEN)/abi/sys_protos.h,protos))
$(eval $(call syscall_gen,$(GEN)/abi/flags.h,flags))
$(eval $(call syscall_gen,$(GEN)/abi/syscall_info.h,info))
$(eval $(call syscall_gen,$(GEN)/abi/syscall_table.c,table))
$(eval $(call syscall_gen,$(GEN)/syscalls.json,json))
$(eval $(call syscall_gen,docs/syscalls.md,docs))

# What is made from spec/trace.tbl: recorders, the decoder's table, a page of documentation.
GEN_HEADERS += $(GEN)/core/trace_events.h

define trace_gen
$(1): spec/trace.tbl tools/gen/trace.py
	@mkdir -p $$(@D)
	@/usr/bin/python3 tools/gen/trace.py $(2) > $$@.tmp && mv $$@.tmp $$@
endef
$(eval $(call trace_gen,$(GEN)/core/trace_events.h,header))
$(eval $(call trace_gen,$(GEN)/trace.json,json))
$(eval $(call trace_gen,docs/tracepoints.md,docs))
