/* /proc/PID/mounts, mountinfo, mountstats; /proc/filesystems. */
#include "proc_priv.h"

struct mount_list { struct seq *s; struct vfs_caller *who; };

static const struct { u32 flag; const char *text; } mount_flags[] = {
	{ MS_NOSUID, ",nosuid" }, { MS_NODEV, ",nodev" }, { MS_NOEXEC, ",noexec" }, { MS_NOATIME, ",noatime" },
	{ MS_NODIRATIME, ",nodiratime" }, { MS_RELATIME, ",relatime" }, { MS_NOSYMFOLLOW, ",nosymfollow" },
};
static const struct { u32 flag; const char *text; } super_flags[] = {
	{ MS_SYNCHRONOUS, ",sync" }, { MS_DIRSYNC, ",dirsync" }, { MS_MANDLOCK, ",mand" }, { MS_LAZYTIME, ",lazytime" },
};

static void put_mount_flags(struct seq *s, u32 flags)
{
	for (u32 i = 0; i < ARRAY_LEN(mount_flags); i++)
		if (flags & mount_flags[i].flag)
			seq_printf(s, "%s", mount_flags[i].text);
}

static void put_super_flags(struct seq *s, u32 flags)
{
	for (u32 i = 0; i < ARRAY_LEN(super_flags); i++)
		if (flags & super_flags[i].flag)
			seq_printf(s, "%s", super_flags[i].text);
}

static void put_options(struct seq *s, const struct superblock *sb)
{
	if (sb->options[0])
		seq_printf(s, ",%s", sb->options);
}

static const char *type_name(const struct superblock *sb) { return sb->type ? sb->type->name : "none"; }

static void put_source(struct seq *s, const struct mount *m)
{
	seq_escape(s, m->source && m->source[0] ? m->source : "none", " \t\n\\#");
}

static bool mounts_line(struct mount *m, const char *at, void *arg)
{
	struct seq *s = ((struct mount_list *)arg)->s;

	put_source(s, m);
	seq_putc(s, ' ');
	seq_escape(s, at, " \t\n\\");
	seq_printf(s, " %s %s", type_name(m->sb), (m->flags | m->sb->flags) & MS_RDONLY ? "ro" : "rw");
	put_super_flags(s, m->sb->flags);
	put_mount_flags(s, m->flags);
	put_options(s, m->sb);
	seq_printf(s, " 0 0\n");
	return true;
}

/* Where in its file system the mount's root is. */
static void put_root(struct seq *s, struct mount_list *l, struct mount *m)
{
	static const char out_of_reach[] = "(unreachable)";
	struct path p = { NULL, m->root };
	char *text = kmalloc(PATH_MAX), *from = text;
	i64 n = text ? vfs_path_text(l->who, &p, text, PATH_MAX) : -ENOMEM;

	if (n > 0 && str_has_prefix(text, out_of_reach))
		from += sizeof(out_of_reach) - 1;
	seq_escape(s, n > 0 ? from : "/", " \t\n\\");
	kfree(text);
}

static bool mountinfo_line(struct mount *m, const char *at, void *arg)
{
	struct mount_list *l = arg;
	struct seq *s = l->s;
	struct mount *up = READ_ONCE(m->at.mnt);

	seq_printf(s, "%u %u %u:%u ", m->id, up ? up->id : m->id, dev_major(m->sb->dev), dev_minor(m->sb->dev));
	put_root(s, l, m);
	seq_putc(s, ' ');
	seq_escape(s, at, " \t\n\\");
	seq_printf(s, m->flags & MS_RDONLY ? " ro" : " rw");
	put_mount_flags(s, m->flags);
	seq_printf(s, " - %s ", type_name(m->sb));
	put_source(s, m);
	seq_printf(s, m->sb->flags & MS_RDONLY ? " ro" : " rw");
	put_super_flags(s, m->sb->flags);
	put_options(s, m->sb);
	seq_putc(s, '\n');
	return true;
}

static bool mountstats_line(struct mount *m, const char *at, void *arg)
{
	struct seq *s = ((struct mount_list *)arg)->s;

	seq_printf(s, "device ");
	put_source(s, m);
	seq_printf(s, " mounted on ");
	seq_escape(s, at, " \t\n\\");
	seq_printf(s, " with fstype %s\n", type_name(m->sb));
	return true;
}

/* Mount points are named as the process sees them. */
static int list_mounts(struct seq *s, struct synth_node *n, bool (*line)(struct mount *m, const char *at, void *arg))
{
	AUTO(task) t = synth_task(n);
	struct vfs_caller who = { .fs = t ? task_fs_view_get(t) : NULL, .cred = &cred_root };
	struct mount_list l = { s, &who };

	if (!t)
		return -ESRCH;
	if (!who.fs)
		return -EINVAL;
	vfs_for_each_mount(&who, line, &l);
	fs_view_put(who.fs);
	return 0;
}

int proc_mounts_show(struct seq *s, void *node) { return list_mounts(s, node, mounts_line); }
int proc_mountinfo_show(struct seq *s, void *node) { return list_mounts(s, node, mountinfo_line); }
int proc_mountstats_show(struct seq *s, void *node) { return list_mounts(s, node, mountstats_line); }

int proc_filesystems_show(struct seq *s, void *node)
{
	struct fs_type *t;

	for (u32 i = 0; (t = fs_at(i)) != NULL; i++)
		seq_printf(s, "%s\t%s\n", t->nodev ? "nodev" : "", t->name);
	return 0;
}
