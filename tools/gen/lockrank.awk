# spec/lockorder.tbl -> core/lockrank.h
BEGIN { print "/* Generated from spec/lockorder.tbl. */"; print "#pragma once"; print ""; print "enum lock_rank {"; print "\tLR_NONE = 0," }
/^#/ || NF < 3 { next }
{ printf "\tLR_%s = %s,\n", $2, $1; name[$1] = $2; kind[$1] = $3 }
END {
	print "};\n#define LOCK_RANK_MAX 127"
	print "#define LOCK_RANK_TABLE \\"
	for (i = 0; i < 128; i++)
		if (i in name)
			printf "\t[%d] = { \"%s\", \"%s\" }, \\\n", i, name[i], kind[i]
	print ""
}
