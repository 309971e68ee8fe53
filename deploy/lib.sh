# What the scripts in deploy/ share. Sourced by bash, not run.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }
die() {
  say "$(basename "$0"): $*"
  exit 1
}

build_packages=(autoconf automake gcc make pkg-config libuv1-dev libprotobuf-c-dev protobuf-c-compiler
  libsodium-dev libjansson-dev libmicrohttpd-dev libcurl4-openssl-dev libssl-dev libpcre2-dev libinih-dev
  libsystemd-dev)
test_packages=(check clang libclang-rt-dev clang-format mandoc valgrind qemu-user qemu-user-static curl openssl
  python3 python3-numpy crossbuild-essential-arm64)
arm64_packages=(libuv1-dev:arm64 libprotobuf-c-dev:arm64 libsodium-dev:arm64 libjansson-dev:arm64
  libmicrohttpd-dev:arm64 libcurl4-openssl-dev:arm64 libssl-dev:arm64 libpcre2-dev:arm64 libinih-dev:arm64
  check:arm64)

# COMMAND:PACKAGE, each of which is installed only where no such command is there: on many machines Node comes from
# elsewhere, and Debian's npm would not go with it.
node_packages=(node:nodejs npm:npm)

# Those of the named packages that are not installed.
missing_packages() {
  local p
  for p in "$@"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep >/dev/null -x installed || printf '%s\n' "$p"
  done
}

# Of packages as in node_packages, those whose command is not there.
missing_commands() {
  local p
  for p in "$@"; do
    command -v "${p%%:*}" >/dev/null || printf '%s\n' "${p#*:}"
  done
}

# Installs what is missing of the named packages, and says so.
install_packages() {
  local missing sudo=()
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -eq 0 ] && return 0
  command -v apt-get >/dev/null ||
    die "this is not Debian or a kin of it: install by hand what these packages hold: ${missing[*]}"
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "missing: ${missing[*]}. Run this as root, or install sudo."
    sudo=(sudo)
  fi
  say "installing with apt-get: ${missing[*]}"
  "${sudo[@]}" apt-get update -qq >/dev/null || say "apt-get update failed; going on with what is known"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >/dev/null || die "apt-get could not install: ${missing[*]}"
}

# configure_in DIR ARGS...: configures once; again when configure is newer.
configure_in() {
  local dir=$1
  shift
  [ "$top/configure" -nt "$top/configure.ac" ] && [ -e "$top/Makefile.in" ] ||
    (cd "$top" && ./bootstrap >"$top/build-aux.log" 2>&1) || { cat "$top/build-aux.log" >&2; die "bootstrap failed"; }
  rm -f "$top/build-aux.log"
  mkdir -p "$dir"
  [ "$dir/config.status" -nt "$top/configure" ] && return 0
  (cd "$dir" && "$top/configure" -q "$@" >configure.log 2>&1) ||
    { tail -20 "$dir/configure.log" >&2; die "configure failed in $dir"; }
}
