/* A round, as rounds.c drives it: begin, steps in ascending order (any may be left out), end.  What is wrong panics. */
#pragma once

#include <base/attrs.h>

void model_start(bool verbose);			/* once, before everything */
void model_round_begin(u64 seed);
void model_round_step(u64 number, bool audit);	/* audit: every owner is counted after the step, not only at the end */
void model_round_end(void);
