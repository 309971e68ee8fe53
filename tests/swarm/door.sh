#!/usr/bin/env bash
# One door: of all that the daemon is made of, one object may send to a cloud, one may begin a transfer, and one names
# libcurl. Held by what the object files refer to.
set -euo pipefail
builddir=${SHOAL_BUILDDIR:-$PWD}

# What each object refers to: "FOLDER/OBJECT.o: U SYMBOL", all of them at once.
refers=$(nm -A -u "$builddir"/daemon/*.o)

# users SYMBOL-PATTERN: the objects of the daemon that refer to such a symbol.
users() {
  { grep -E " U ($1)(@|\$)" <<<"$refers" || true; } | sed -E 's|^.*/([^/]*)\.o:.*|\1|; s|^libdaemon_a-||' | sort -u
}
failed=0
expect() { # WHAT PATTERN OBJECT
  local got
  got=$(users "$2" | tr '\n' ' ')
  [ "${got% }" = "$3" ] && return 0
  printf "FAIL: %s: '%s' instead of '%s'\n" "$1" "${got% }" "$3"
  failed=1
}
expect 'who sends to a cloud' 'cloud_send' door
expect 'who connects to one' 'cloud_knock' door_knock
expect 'who begins a transfer' 'cloud_transfer_start' cloud
expect 'who names libcurl' 'curl_[a-z_]+' cloud_curl
# Nothing else that speaks HTTP outwards is linked in, nor is a program started that could.
expect 'who starts programs' 'system|popen|exec[lv]p?e?|posix_spawnp?|fork|uv_spawn' ''
# The pattern does see what it looks for.
[ "$(users 'curl_easy_init')" = cloud_curl ] || { echo 'FAIL: nm shows no symbols'; failed=1; }
exit $failed
