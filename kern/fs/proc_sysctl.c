#include "proc_priv.h"
struct synth_entry proc_sys_entries[] = { { .name = NULL } };
