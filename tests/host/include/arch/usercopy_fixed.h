/* The host's fixed copies: the ordinary ones of fake_usercopy.c. */
#pragma once

#include <base/attrs.h>

#define USER_COPY_FIXED_MAX 144

MUST_USE u64 user_copy_in(void *dst, uptr_t src, u64 n);
MUST_USE u64 user_copy_out(uptr_t dst, const void *src, u64 n);

static inline bool user_in_fixed(void *dst, uptr_t src, u64 n) { return !user_copy_in(dst, src, n); }
static inline bool user_out_fixed(uptr_t dst, const void *src, u64 n) { return !user_copy_out(dst, src, n); }
