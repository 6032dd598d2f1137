/*
 * Scalar types and the address kinds.
 *
 * An address is one of four kinds and each is a type of its own, so that the
 * compiler rejects a mix-up: physical, kernel virtual, user virtual (never
 * dereferenced, only handed to the usercopy functions) and frame number.
 * Context: any.  Compiles on the host.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef u64 __attribute__((aligned(1), may_alias)) unaligned_u64;	/* to read bytes as a word */
typedef u32 __attribute__((aligned(1), may_alias)) unaligned_u32;
typedef u16 __attribute__((aligned(1), may_alias)) unaligned_u16;
typedef int8_t i8;
typedef int16_t i16;
typedef int32_t i32;
typedef int64_t i64;
typedef size_t usize;

typedef struct { u64 v; } paddr_t;	/* byte address in physical memory */
typedef struct { u64 v; } vaddr_t;	/* a virtual address as a number: user or kernel, never dereferenced */
typedef struct { u64 v; } uptr_t;	/* a pointer as a user program passed it: trusted for nothing */
typedef struct { u64 v; } pfn_t;	/* physical frame number: paddr >> PAGE_SHIFT */

#define PADDR(x) ((paddr_t){ (u64)(x) })
#define VADDR(x) ((vaddr_t){ (u64)(x) })
#define UPTR(x)	 ((uptr_t){ (u64)(x) })
#define PFN(x)	 ((pfn_t){ (u64)(x) })

#define PAGE_SHIFT 12
#define PAGE_SIZE  (1ul << PAGE_SHIFT)
#define PAGE_MASK  (~(PAGE_SIZE - 1))
#define HUGE_SHIFT 21
#define HUGE_SIZE  (1ul << HUGE_SHIFT)
#define HUGE_PAGES (1u << (HUGE_SHIFT - PAGE_SHIFT))

static inline pfn_t paddr_to_pfn(paddr_t p) { return PFN(p.v >> PAGE_SHIFT); }
static inline paddr_t pfn_to_paddr(pfn_t f) { return PADDR(f.v << PAGE_SHIFT); }
static inline uptr_t uptr_add(uptr_t p, u64 n) { return UPTR(p.v + n); }
static inline bool uptr_is_null(uptr_t p) { return p.v == 0; }
static inline vaddr_t vaddr_page_down(vaddr_t v) { return VADDR(v.v & PAGE_MASK); }
