/* Port and device-memory access.  Context: any. */
#pragma once

#include <base/attrs.h>

static inline u8 port_in8(u16 port)
{
	u8 v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline u16 port_in16(u16 port)
{
	u16 v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline u32 port_in32(u16 port)
{
	u32 v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline void port_out8(u16 port, u8 v) { __asm__ volatile("outb %0, %1" :: "a"(v), "Nd"(port)); }
static inline void port_out16(u16 port, u16 v) { __asm__ volatile("outw %0, %1" :: "a"(v), "Nd"(port)); }
static inline void port_out32(u16 port, u32 v) { __asm__ volatile("outl %0, %1" :: "a"(v), "Nd"(port)); }
static inline u8 mmio_read8(volatile void *p) { return *(volatile u8 *)p; }
static inline u16 mmio_read16(volatile void *p) { return *(volatile u16 *)p; }
static inline void mmio_write8(volatile void *p, u8 v) { *(volatile u8 *)p = v; }
static inline void mmio_write16(volatile void *p, u16 v) { *(volatile u16 *)p = v; }
static inline u32 mmio_read32(volatile void *p) { return *(volatile u32 *)p; }
static inline void mmio_write32(volatile void *p, u32 v) { *(volatile u32 *)p = v; }
