/* About the system and its use: uname, sysinfo, limits, usage, reboot, entropy. */
#include <arch/cpu.h>
#include <arch/machine.h>
#include <arch/smp.h>
#include <core/panic.h>
#include <core/log.h>
#include <core/uts.h>
#include <dev/random.h>
#include <dev/tty.h>
#include <mem/mem.h>
#include "abi.h"

#define PER_MASK    0xffu
#define PER_LINUX32 8u

i64 sys_uname(struct task *self, uptr_t buf)
{
	u64 seq;

	do {
		const struct uts_text *t = uts_begin(&seq);

		if (user_copy_out(buf, t, sizeof(*t)))
			return -EFAULT;
	} while (uts_changed(seq));
	if (unlikely((self->personality & PER_MASK) == PER_LINUX32))
		return user_copy_out(uptr_add(buf, offsetof(struct uts_text, machine)), "i686", 5) ? -EFAULT : 0;
	return 0;
}

static i64 set_uts(struct task *self, enum uts_name which, uptr_t name, int len)
{
	char text[UTS_LEN];

	if (!is_cap(self, CAP_SYS_ADMIN))
		return -EPERM;
	if (len < 0 || len > UTS_LEN)
		return -EINVAL;
	if (user_copy_in(text, name, (u64)len))
		return -EFAULT;
	uts_set(which, text, (u32)len);
	return 0;
}

i64 sys_sethostname(struct task *self, uptr_t name, int len)
{
	return set_uts(self, UTS_NODENAME, name, len);
}

i64 sys_setdomainname(struct task *self, uptr_t name, int len)
{
	return set_uts(self, UTS_DOMAINNAME, name, len);
}

i64 sys_sysinfo(struct task *self, uptr_t info)
{
	struct mem_stats m;
	struct sched_stats s;

	mem_stats(&m);
	sched_stats(~0u, &s);
	struct sysinfo_k si = {
		.uptime = (i64)DIV_ROUND_UP(clock_mono_ns(), NSEC_PER_SEC),
		.loads = { s.load_1, s.load_5, s.load_15 },
		.totalram = m.total * PAGE_SIZE, .freeram = m.free * PAGE_SIZE,
		.procs = (u16)MIN(thread_count_all(), 0xffffu), .mem_unit = 1,
	};
	return user_put(info, &si);
}

static void rlimit_read(struct process *p, u32 which, struct rlimit64 *out)
{
	GUARD_SPIN(&p->lock);
	*out = p->rlim[which];
}

i64 sys_getrlimit(struct task *self, u32 which, uptr_t lim)
{
	struct rlimit64 l;

	if (which >= RLIMITS)
		return -EINVAL;
	rlimit_read(self->proc, which, &l);
	return user_put(lim, &l);
}

i64 sys_setrlimit(struct task *self, u32 which, uptr_t lim)
{
	struct rlimit64 l, old;

	if (user_get(&l, lim))
		return -EFAULT;
	if (which >= RLIMITS)
		return -EINVAL;
	return process_set_rlimit(self->proc, which, &l, &old, self->vfs.cred);
}

static i64 prlimit(struct task *self, struct task *t, u32 which, uptr_t new, const struct rlimit64 *n, uptr_t old)
{
	struct rlimit64 o;
	int err = 0;

	if (t->proc != self->proc && !is_cap(self, CAP_SYS_RESOURCE) && !process_may_inspect(self->vfs.cred, t->proc))
		return -EPERM;
	if (which >= RLIMITS)
		return -EINVAL;
	if (uptr_is_null(new))
		rlimit_read(t->proc, which, &o);
	else
		err = process_set_rlimit(t->proc, which, n, &o, self->vfs.cred);
	if (err)
		return err;
	return uptr_is_null(old) ? 0 : user_put(old, &o);
}

static NOINLINE i64 prlimit_of(struct task *self, i32 pid, u32 which, uptr_t new, uptr_t old)
{
	struct rlimit64 n;

	if (!uptr_is_null(new) && user_get(&n, new))
		return -EFAULT;
	if (!pid || (u32)pid == self->tid)
		return prlimit(self, self, which, new, &n, old);
	AUTO(task) t = task_of_pid(self, pid);
	if (!t)
		return -ESRCH;
	return prlimit(self, t, which, new, &n, old);
}

/* The C library's getrlimit() is a question about the caller itself. */
i64 sys_prlimit64(struct task *self, i32 pid, u32 which, uptr_t new, uptr_t old)
{
	if (!pid && uptr_is_null(new) && !uptr_is_null(old))
		return sys_getrlimit(self, which, old);
	return prlimit_of(self, pid, which, new, old);
}

i64 sys_getrusage(struct task *self, int who, uptr_t ru)
{
	struct rusage_user_k u;
	struct rusage_k k = { 0 };

	switch (who) {
	case RUSAGE_SELF:
	case RUSAGE_CHILDREN:
		process_rusage(self->proc, who, &k);
		break;
	case RUSAGE_THREAD:
		process_rusage(self->proc, RUSAGE_SELF, &k);	/* for the resident size, which threads share */
		sched_thread_times(&self->thread, &k.user_ns, &k.sys_ns);
		k.minflt = self->min_faults;
		k.majflt = self->maj_faults;
		k.nvcsw = self->thread.nvcsw;
		k.nivcsw = self->thread.nivcsw;
		break;
	default:
		return -EINVAL;
	}
	rusage_to_user(&k, &u);
	return user_put(ru, &u);
}

i64 sys_getrandom(struct task *self, uptr_t buf, u64 len, u32 flags)
{
	if (flags & ~(u32)(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE))
		return -EINVAL;
	if ((flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
		return -EINVAL;
	len = MIN(len, (u64)INT32_MAX);
	if (!user_range_ok(buf, len))
		return -EFAULT;
	return random_read_user(buf, len, flags);
}

i64 sys_vhangup(struct task *self)
{
	struct tty *t;

	if (!is_cap(self, CAP_SYS_TTY_CONFIG))
		return -EPERM;
	t = tty_proc->current_tty();
	if (t) {
		tty_hangup(t);
		tty_put(t);
	}
	return 0;
}

#define REBOOT_MAGIC1 0xfee1deadu

static bool reboot_magic_ok(u32 m1, u32 m2)
{
	return m1 == REBOOT_MAGIC1 && (m2 == 672274793u || m2 == 85072278u || m2 == 369367448u || m2 == 537993216u);
}

/* Memory file systems have nothing to write out first. */
i64 sys_reboot(struct task *self, u32 magic1, u32 magic2, u32 cmd, uptr_t arg)
{
	char text[256];

	if (!is_cap(self, CAP_SYS_BOOT))
		return -EPERM;
	if (!reboot_magic_ok(magic1, magic2))
		return -EINVAL;
	switch (cmd) {
	case LINUX_REBOOT_CMD_CAD_ON:
	case LINUX_REBOOT_CMD_CAD_OFF:
		return 0;	/* no console here sends Ctrl-Alt-Del */
	case LINUX_REBOOT_CMD_RESTART2:
		if (user_str_copy_in(text, arg, sizeof(text)) == -EFAULT)
			return -EFAULT;
		log_flush_console();
		machine_reboot();
	case LINUX_REBOOT_CMD_RESTART:
		log_info("reboot: Restarting system");
		log_flush_console();
		machine_reboot();
	case LINUX_REBOOT_CMD_POWER_OFF:
		log_info("reboot: Power down");
		log_flush_console();
		machine_poweroff();
	case LINUX_REBOOT_CMD_HALT:
		log_info("reboot: System halted");
		arch_stop_others();
		cpu_halt_forever();
	default:
		return -EINVAL;
	}
}
