# Shared by the host-side shell tools; source it after setting TOP to the repository's root.

BUILD=$TOP/build

say()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die()
{
	say "$*"
	exit 1
}
