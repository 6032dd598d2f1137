# spec/errno.tbl -> base/errno.h
BEGIN { print "/* Generated from spec/errno.tbl. */"; print "#pragma once"; print "" }
/^#/ || NF < 2 { next }
{ printf "#define %s %s\n", $2, $1; names[$1] = $2; if ($1 < 200 && $1 > max) max = $1 }
{ text = $3; for (i = 4; i <= NF; i++) text = text " " $i; texts = texts "\t{ " $1 ", \"" $2 "\", \"" text "\" }, \\\n" }
END {
	print "#define EWOULDBLOCK EAGAIN"
	print "#define ENOTSUP EOPNOTSUPP"
	printf "#define ERRNO_MAX %d\n#define ERRNO_NAMES \\\n", max
	for (i = 1; i <= max; i++)
		if (i in names)
			printf "\t[%d] = \"%s\", \\\n", i, names[i]
	print ""
	printf "#define ERRNO_TEXTS \\\n%s\n", texts
}
