/* The CMOS clock, read once at boot.  Absent: all ones, which is no date.  Source: MC146818A data sheet. */
#include <x86_64/arch.h>
#include <x86_64/x86.h>

u64 rtc_read_seconds(void);

static INIT_TEXT u8 cmos(u8 reg)
{
	port_out8(0x70, reg);
	return port_in8(0x71);
}

static INIT_TEXT u32 from_bcd(u32 v, bool binary) { return binary ? v : (v >> 4) * 10 + (v & 15); }

static INIT_TEXT u64 days_since_1970(u32 y, u32 m, u32 d)
{
	static const u16 before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
	u64 years = y - 1970, leaps = (y - 1969) / 4;	/* right until 2099 */

	return years * 365 + leaps + before[m - 1] + (m > 2 && y % 4 == 0) + d - 1;
}

/* Registers 0..9 read until two readings agree: no wait for the update flag, which can last 2 ms. */
INIT_TEXT u64 rtc_read_seconds(void)
{
	static const u8 regs[] = { 0, 2, 4, 7, 8, 9 };
	u8 now[6], again[6];
	bool same = false, binary, pm;
	u32 v[6], b;

	for (u32 turn = 0; turn < 8 && !same; turn++) {
		same = true;
		for (u32 i = 0; i < 6; i++)
			now[i] = cmos(regs[i]);
		for (u32 i = 0; i < 6; i++) {
			again[i] = cmos(regs[i]);
			same &= now[i] == again[i];
		}
	}
	if (now[0] == 0xff && now[3] == 0xff)
		return 0;
	b = cmos(0x0b);
	binary = b & 4;
	pm = !(b & 2) && now[2] & 0x80;
	now[2] &= b & 2 ? 0xff : 0x7f;
	for (u32 i = 0; i < 6; i++)
		v[i] = from_bcd(now[i], binary);
	if (!(b & 2))
		v[2] = v[2] % 12 + (pm ? 12 : 0);
	if (v[4] < 1 || v[4] > 12 || v[3] < 1 || v[3] > 31)
		return 0;
	v[5] += v[5] < 70 ? 2000 : 1900;
	return days_since_1970(v[5], v[4], v[3]) * 86400 + v[2] * 3600 + v[1] * 60 + v[0];
}
