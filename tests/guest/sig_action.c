/* sigaction and delivery: flags, masks, nesting, order, siginfo, RT queues, altstack. */
#include "tap.h"

#include <sys/resource.h>
#include <sys/time.h>
#include <ucontext.h>

static volatile sig_atomic_t count, last, order[100], depth, deepest;
static siginfo_t seen;

static void on(int sig, void (*fn)(int), int flags)
{
	struct sigaction sa = { .sa_handler = fn, .sa_flags = flags };

	tap_must(sigaction(sig, &sa, NULL));
}

static void on_info(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = { .sa_sigaction = fn, .sa_flags = flags | SA_SIGINFO };

	tap_must(sigaction(sig, &sa, NULL));
}

static void note(int sig)
{
	order[count++ % 100] = sig;
	last = sig;
}

static void keep(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	seen = *si;
	last = sig;
	order[count++ % 100] = si->si_value.sival_int;
}

static void block(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	tap_must(sigprocmask(how, &set, NULL));
}

static bool pending(int sig)
{
	sigset_t set;

	tap_must(sigpending(&set));
	return sigismember(&set, sig);
}

static void every_number_can_be_caught(void)
{
	for (int s = 1; s <= 64; s++) {
		if (s == SIGKILL || s == SIGSTOP || s == 32 || s == 33 || s == 34)
			continue;			/* libc keeps 32 to 34 */
		on(s, note, 0);
		last = 0;
		tap_eq(kill(getpid(), s), 0);
		tap_eq(last, s);
	}
}

static void sigaction_errors(void)
{
	struct { void *h; unsigned long fl; void *r; uint64_t m; } k = { NULL, 0, NULL, 0 };

	tap_err(syscall(SYS_rt_sigaction, SIGKILL, &k, NULL, 8), EINVAL);
	tap_err(syscall(SYS_rt_sigaction, SIGSTOP, &k, NULL, 8), EINVAL);
	tap_eq(syscall(SYS_rt_sigaction, SIGKILL, NULL, &k, 8), 0);
	tap_err(syscall(SYS_rt_sigaction, 0, NULL, NULL, 8), EINVAL);
	tap_err(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8), EINVAL);
	tap_err(syscall(SYS_rt_sigaction, SIGUSR1, &k, NULL, 16), EINVAL);
	tap_efault_each(p, syscall(SYS_rt_sigaction, SIGUSR1, p, NULL, 8));
	tap_efault_each(p, syscall(SYS_rt_sigaction, SIGUSR1, NULL, p, 8));
}

static void the_old_action_is_returned(void)
{
	struct sigaction sa = { .sa_handler = note, .sa_flags = SA_RESTART | SA_NODEFER }, old;

	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, SIGUSR2);
	tap_must(sigaction(SIGUSR1, &sa, &old));
	tap_ok(old.sa_handler == SIG_DFL);
	tap_must(sigaction(SIGUSR1, NULL, &old));
	tap_ok(old.sa_handler == note);
	tap_eq(old.sa_flags & (SA_RESTART | SA_NODEFER | SA_SIGINFO), SA_RESTART | SA_NODEFER);
	tap_eq(sigismember(&old.sa_mask, SIGUSR2), 1);
	tap_eq(sigismember(&old.sa_mask, SIGUSR1), 0);
}

static void resethand_is_for_once(void)
{
	struct sigaction old;

	on(SIGUSR1, note, SA_RESETHAND);
	raise(SIGUSR1);
	tap_eq(count, 1);
	tap_must(sigaction(SIGUSR1, NULL, &old));
	tap_ok(old.sa_handler == SIG_DFL);
}

static void nest(int sig)
{
	depth++;
	if (depth > deepest)
		deepest = depth;
	if (count++ < 5)
		raise(sig);
	depth--;
}

static void nodefer_nests_and_its_absence_does_not(void)
{
	on(SIGUSR1, nest, SA_NODEFER);
	raise(SIGUSR1);
	tap_eq(deepest, 6);
	count = deepest = 0;
	on(SIGUSR1, nest, 0);
	raise(SIGUSR1);
	tap_eq(deepest, 1);
	tap_eq(count, 6);
}

static void raise_other(int sig)
{
	(void)sig;
	order[count++] = 1;
	raise(SIGUSR2);
	order[count++] = 2;
}

static void raise_note(int sig)
{
	(void)sig;
	order[count++] = 3;
}

static void sa_mask_holds_others_back(void)
{
	struct sigaction sa = { .sa_handler = raise_other };

	on(SIGUSR2, raise_note, 0);
	sigaddset(&sa.sa_mask, SIGUSR2);
	tap_must(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	tap_eq(order[0] * 100 + order[1] * 10 + order[2], 123);
	count = 0;
	sigemptyset(&sa.sa_mask);
	tap_must(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	tap_eq(order[0] * 100 + order[1] * 10 + order[2], 132);
}

static void blocked_signals_wait(void)
{
	on(SIGUSR1, note, 0);
	block(SIG_BLOCK, SIGUSR1);
	raise(SIGUSR1);
	raise(SIGUSR1);
	tap_eq(count, 0);
	tap_ok(pending(SIGUSR1));
	block(SIG_UNBLOCK, SIGUSR1);
	tap_eq(count, 1);				/* ordinary signals do not queue */
	tap_ok(!pending(SIGUSR1));
}

static void an_ignored_signal_is_dropped(void)
{
	on(SIGUSR1, SIG_IGN, 0);
	raise(SIGUSR1);
	block(SIG_BLOCK, SIGUSR1);
	on(SIGUSR1, note, 0);
	raise(SIGUSR1);
	tap_ok(pending(SIGUSR1));
	on(SIGUSR1, SIG_IGN, 0);			/* setting it drops what is pending */
	tap_ok(!pending(SIGUSR1));
	on(SIGUSR1, note, 0);
	block(SIG_UNBLOCK, SIGUSR1);
	tap_eq(count, 0);
}

static void kill_and_stop_cannot_be_blocked(void)
{
	sigset_t set, now;

	sigfillset(&set);
	tap_must(sigprocmask(SIG_SETMASK, &set, NULL));
	tap_must(sigprocmask(SIG_SETMASK, NULL, &now));
	tap_eq(sigismember(&now, SIGKILL), 0);
	tap_eq(sigismember(&now, SIGSTOP), 0);
	tap_eq(sigismember(&now, SIGTERM), 1);
	tap_eq(sigismember(&now, 64), 1);
}

static void sigprocmask_errors(void)
{
	uint64_t m = 0;

	tap_err(syscall(SYS_rt_sigprocmask, 9, &m, NULL, 8), EINVAL);
	tap_err(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &m, NULL, 4), EINVAL);
	tap_eq(syscall(SYS_rt_sigprocmask, 9, NULL, &m, 8), 0);
	tap_efault_each(p, syscall(SYS_rt_sigprocmask, SIG_BLOCK, p, NULL, 8));
	tap_efault_each(p, syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, p, 8));
	tap_efault_each(p, syscall(SYS_rt_sigpending, p, 8));
	tap_err(syscall(SYS_rt_sigpending, &m, 100), EINVAL);
}

static void queue(int sig, int value)
{
	tap_must(sigqueue(getpid(), sig, (union sigval){ .sival_int = value }));
}

static void rt_signals_queue_in_order(void)
{
	on_info(SIGRTMIN + 5, keep, 0);
	block(SIG_BLOCK, SIGRTMIN + 5);
	for (int i = 0; i < 50; i++)
		queue(SIGRTMIN + 5, i * 3);
	tap_eq(count, 0);
	block(SIG_UNBLOCK, SIGRTMIN + 5);
	tap_eq(count, 50);
	for (int i = 0; i < 50; i++)
		tap_need(order[i] == i * 3);
}

static void lower_numbers_come_first(void)
{
	sigset_t all, old;
	int sig[] = { SIGRTMAX, SIGRTMIN + 2, SIGUSR2, SIGRTMIN + 9, SIGUSR1 };
	int want[] = { SIGUSR1, SIGUSR2, SIGRTMIN + 2, SIGRTMIN + 9, SIGRTMAX };

	sigfillset(&all);
	for (unsigned i = 0; i < ARRAY_LEN(sig); i++) {
		struct sigaction sa = { .sa_handler = note, .sa_mask = all };

		tap_must(sigaction(sig[i], &sa, NULL));
	}
	tap_must(sigprocmask(SIG_BLOCK, &all, &old));
	for (unsigned i = 0; i < ARRAY_LEN(sig); i++)
		raise(sig[i]);
	tap_must(sigprocmask(SIG_SETMASK, &old, NULL));
	tap_eq(count, 5);
	/* with everything masked in the handlers they run one after the other */
	for (unsigned i = 0; i < ARRAY_LEN(sig); i++)
		tap_eq(order[i], want[i]);
}

static void the_queue_is_limited(void)
{
	struct rlimit rl = { 10, 10 };
	int n = 0;

	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(23456, 23456);
		tap_must(setrlimit(RLIMIT_SIGPENDING, &rl));
		block(SIG_BLOCK, SIGRTMIN + 1);
		while (n < 100 && sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ 0 }) == 0)
			n++;
		tap_eq(errno, EAGAIN);
		tap_eq(n, 10);
		block(SIG_BLOCK, SIGUSR1);
		tap_eq(kill(getpid(), SIGUSR1), 0);	/* ordinary ones still arrive */
		tap_ok(pending(SIGUSR1));
		tap_leave();
	}
	tap_join(kid);
}

static void siginfo_of_kill_queue_and_tkill(void)
{
	on_info(SIGUSR1, keep, 0);
	kill(getpid(), SIGUSR1);
	tap_eq(seen.si_code, SI_USER);
	tap_eq(seen.si_pid, getpid());
	tap_eq(seen.si_uid, 0);
	tap_eq(seen.si_signo, SIGUSR1);
	queue(SIGUSR1, 4711);
	tap_eq(seen.si_code, SI_QUEUE);
	tap_eq(seen.si_value.sival_int, 4711);
	tap_eq(seen.si_pid, getpid());
	syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1);
	tap_eq(seen.si_code, SI_TKILL);
	syscall(SYS_tkill, getpid(), SIGUSR1);
	tap_eq(seen.si_code, SI_TKILL);
}

static void kill_errors(void)
{
	siginfo_t si = { .si_code = SI_USER };

	tap_err(kill(getpid(), 65), EINVAL);
	tap_err(kill(getpid(), -1), EINVAL);
	tap_err(kill(4000000, 0), ESRCH);
	tap_err(kill(-4000000, 0), ESRCH);
	tap_eq(kill(getpid(), 0), 0);
	tap_err(syscall(SYS_tkill, 0, SIGUSR1), EINVAL);
	tap_err(syscall(SYS_tkill, 4000000, SIGUSR1), ESRCH);
	tap_err(syscall(SYS_tgkill, getpid(), 0, SIGUSR1), EINVAL);
	tap_err(syscall(SYS_tgkill, 1, getpid(), SIGUSR1), ESRCH);
	tap_efault_each(p, syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, p));
	/* a forged SI_USER */
	tap_err(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &si), EPERM);
	tap_efault_each(p, syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGUSR1, p));
}

static void groups_and_everyone(void)
{
	int p[2];

	tap_must(pipe(p));
	pid_t leader = tap_fork();
	if (leader == 0) {
		setpgid(0, 0);
		for (int i = 0; i < 3; i++)
			if (fork() == 0) {
				write(p[1], "r", 1);
				for (;;)
					pause();
			}
		write(p[1], "r", 1);
		signal(SIGUSR1, SIG_DFL);
		for (;;)
			pause();
	}
	close(p[1]);
	char c;
	for (int i = 0; i < 4; i++)
		tap_eq(read(p[0], &c, 1), 1);
	tap_eq(kill(-leader, SIGUSR1), 0);
	tap_killed(leader, SIGUSR1);
	tap_eq(read(p[0], &c, 1), 0);			/* all four are gone */
}

/* -- the alternate stack -- */

static char *alt_low, *alt_high;
static volatile int on_alt, flags_inside;

static void where_am_i(int sig)
{
	char here;
	stack_t ss;

	(void)sig;
	on_alt = &here > alt_low && &here < alt_high;
	sigaltstack(NULL, &ss);
	flags_inside = ss.ss_flags;
	last = sigaltstack(&(stack_t){ .ss_flags = SS_DISABLE }, NULL) == -1 ? errno : 0;
}

static void the_alternate_stack_is_used_when_asked(void)
{
	stack_t ss = { .ss_sp = tap_pages(8), .ss_size = 8 * PAGE }, old;

	alt_low = ss.ss_sp;
	alt_high = alt_low + ss.ss_size;
	tap_must(sigaltstack(&ss, &old));
	tap_eq(old.ss_flags, SS_DISABLE);
	on(SIGUSR1, where_am_i, 0);
	raise(SIGUSR1);
	tap_eq(on_alt, 0);
	tap_must(sigaltstack(&ss, NULL));
	on(SIGUSR1, where_am_i, SA_ONSTACK);
	raise(SIGUSR1);
	tap_eq(on_alt, 1);
	tap_eq(flags_inside, SS_ONSTACK);
	tap_eq(last, EPERM);				/* not while in use */
	tap_must(sigaltstack(NULL, &old));
	tap_ok(old.ss_sp == ss.ss_sp);
	tap_eq(old.ss_size, ss.ss_size);
	tap_eq(old.ss_flags, 0);
}

static void autodisarm(void)
{
	stack_t ss = { .ss_sp = tap_pages(8), .ss_size = 8 * PAGE, .ss_flags = 1 << 31 };

	alt_low = ss.ss_sp;
	alt_high = alt_low + ss.ss_size;
	tap_must(syscall(SYS_sigaltstack, &ss, NULL));
	on(SIGUSR1, where_am_i, SA_ONSTACK);
	raise(SIGUSR1);
	tap_eq(on_alt, 1);
	tap_eq(flags_inside, SS_DISABLE);
}

static void sigaltstack_errors(void)
{
	stack_t ss = { .ss_sp = tap_pages(1), .ss_size = 2047 };

	tap_err(syscall(SYS_sigaltstack, &ss, NULL), ENOMEM);
	ss.ss_size = PAGE;
	ss.ss_flags = 64;
	tap_err(syscall(SYS_sigaltstack, &ss, NULL), EINVAL);
	tap_efault_each(p, syscall(SYS_sigaltstack, p, NULL));
	tap_efault_each(p, syscall(SYS_sigaltstack, NULL, p));
}

static void an_unusable_handler_stack_kills(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		stack_t ss = { .ss_sp = tap_page_none(), .ss_size = PAGE };

		sigaltstack(&ss, NULL);
		on(SIGUSR1, note, SA_ONSTACK);
		raise(SIGUSR1);
		_exit(0);
	}
	tap_killed(kid, SIGSEGV);
}

static void a_handler_for_nothing_executable_kills(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		on(SIGUSR1, (void (*)(int))BAD_KERNEL, 0);
		raise(SIGUSR1);
		_exit(0);
	}
	tap_killed(kid, SIGSEGV);
}

TAP_MAIN(
	CASE(every_number_can_be_caught),
	CASE(sigaction_errors),
	CASE(the_old_action_is_returned),
	CASE(resethand_is_for_once),
	CASE(nodefer_nests_and_its_absence_does_not),
	CASE(sa_mask_holds_others_back),
	CASE(blocked_signals_wait),
	CASE(an_ignored_signal_is_dropped),
	CASE(kill_and_stop_cannot_be_blocked),
	CASE(sigprocmask_errors),
	CASE(rt_signals_queue_in_order),
	CASE(lower_numbers_come_first),
	CASE(the_queue_is_limited),
	CASE(siginfo_of_kill_queue_and_tkill),
	CASE(kill_errors),
	CASE(groups_and_everyone),
	CASE(the_alternate_stack_is_used_when_asked),
	CASE(autodisarm),
	CASE(sigaltstack_errors),
	CASE(an_unusable_handler_stack_kills),
	CASE(a_handler_for_nothing_executable_kills),
)
