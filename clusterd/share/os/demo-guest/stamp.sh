# Sourced by the scripts beside it: what the guest reads from its first disk when it starts.
# The offset is that of build-guest.sh; the stamp has 4096 bytes.

fail() { echo "demo-guest: $*" >&2; exit 1; }

# number NAME VALUE: VALUE is empty or a number with at most one point
number() {
  case $2 in *[!0-9.]* | *.*.* | .) fail "parameter $1: '$2' is not a number" ;; esac
}

check_parameters() {
  number tick "${OSP_TICK:-}"
  number dirty_mib "${OSP_DIRTY_MIB:-}"
  case ${OSP_DIRTY_MIB:-} in *.*) fail "parameter dirty_mib: must be a whole number" ;; esac
  for one in "${OSP_IP4:-}" "${OSP_GATEWAY:-}" "${INSTANCE_NAME:-}"; do
    case $one in *[!A-Za-z0-9./:_-]*) fail "'$one' cannot be told to the guest" ;; esac
  done
  case ${OSP_IP4:-} in '' | *.*.*.*/*) ;; *) fail "parameter ip4: write ADDRESS/PREFIX" ;; esac
}

# stamp DISK: write the instance's name and wishes
stamp() {
  check_parameters
  ip4=${OSP_IP4:-}
  if [ -z "$ip4" ] && [ -n "${NIC_0_IP:-}" ]; then
    case ${NIC_0_NETWORK_SUBNET:-} in
      */*) ip4=$NIC_0_IP/${NIC_0_NETWORK_SUBNET#*/} ;;
      *) ip4=$NIC_0_IP/24 ;;
    esac
  fi
  gateway=${OSP_GATEWAY:-${NIC_0_NETWORK_GATEWAY:-}}
  words="clusterd-guest name=$INSTANCE_NAME tick=${OSP_TICK:-0.5} dirty_mib=${OSP_DIRTY_MIB:-0}"
  printf '%-4096s' "$words ip4=$ip4 gateway=$gateway" |
    dd of="$1" bs=4096 seek=128 count=1 iflag=fullblock conv=notrunc,fsync status=none
}
