#!/bin/sh
# Builds the demo guest: one raw disk image that boots by itself on a BIOS machine. Beside it lie
# its kernel (OUTPUT_IMAGE.kernel), its initial file system (.initrd) and the kernel's command line
# (.words), for a hypervisor that is given a kernel.
#
# usage: build-guest.sh CACHE_DIR OUTPUT_IMAGE
#
# Debian packages are downloaded into CACHE_DIR with apt-get (once) and unpacked there; nothing is
# installed, mounted or run as another user. The machine needs: apt-get with package lists, dpkg-deb,
# cpio, depmod (kmod).
#
# Image, in bytes:      0  GRUB's boot sector, its core after it (no partition table, no file system)
#                  524288  stamp: "clusterd-guest" and key=value words, 4096 bytes, NUL padded
#                  528384  counter, 4096 bytes, written by the guest
#                 1048576  kernel, then initial file system, read by GRUB as plain block lists
set -eu
export LC_ALL=C
[ $# -eq 2 ] || { sed -n 2,16p "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" "$(dirname "$2")"
cache=$(cd "$1" && pwd)
image=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
work=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$work"' EXIT

MODULES="virtio_pci virtio_blk virtio_net virtio_balloon button evdev"
SEED_MODULES="isofs"  # loaded only where a seed disk is found
AGENT_MODULES="virtio_console"  # only where there is such a device
APPLETS="sh mount insmod cat dd tr sleep hostname ip acpid poweroff mkdir mkfifo printf rm"
GRUB_MODULES="biosdisk linux16"  # linux16: the 32-bit loader spends 1.5 s on video modes
# tsc and timer words: an emulated processor needs no calibration and no checking of its timers.
CMDLINE="console=ttyS0,115200 quiet loglevel=3 panic=-1 mitigations=off nokaslr no_timer_check \
tsc=reliable clocksource=tsc init_on_free=1 random.trust_cpu=on cryptomgr.notests audit=0 \
rdinit=/init"

fetch() { # fetch PACKAGE: unpack it as $work/PACKAGE, downloading it when the cache has none
  set -- "$1" "$(ls -1 "$cache/$1"_*.deb 2>/dev/null | tail -n 1)"
  if [ -z "$2" ]; then
    ( cd "$cache" && apt-get -qq -o APT::Sandbox::User=root download "$1" ) ||
      { echo "build-guest: cannot download $1; run apt-get update first" >&2; exit 1; }
    set -- "$1" "$(ls -1 "$cache/$1"_*.deb | tail -n 1)"
  fi
  dpkg-deb -x "$2" "$work/$1"
}

kernel=$(ls -1 "$cache"/linux-image-*-cloud-amd64_*.deb 2>/dev/null | tail -n 1)
if [ -n "$kernel" ]; then
  kernel=$(basename "${kernel%%_*}")
else
  kernel=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends:/ {print $2; exit}')
  [ -n "$kernel" ] || { echo "build-guest: no cloud kernel known; run apt-get update" >&2; exit 1; }
fi
for package in "$kernel" busybox-static grub-common grub-pc-bin libdevmapper1.02.1; do
  fetch "$package"
done

# -- initial file system: busybox, a few modules in the order of their needs, init ---------------
root=$work/root
mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/modules" "$root/etc/acpi/PWRF"
cp "$work/busybox-static/bin/busybox" "$root/bin/"
for applet in $APPLETS; do ln -s busybox "$root/bin/$applet"; done
[ -d "$work/$kernel/lib/modules" ] && modules=$work/$kernel || modules=$work/$kernel/usr
release=$(basename "$modules"/lib/modules/*)
PATH=$PATH:/usr/sbin:/sbin depmod -b "$modules" "$release"
for module in $MODULES $SEED_MODULES $AGENT_MODULES; do
  order=order
  case " $SEED_MODULES " in *" $module "*) order=seed ;; esac
  case " $AGENT_MODULES " in *" $module "*) order=agent ;; esac
  line=$(grep -E "(^|/)$module\.ko:" "$modules/lib/modules/$release/modules.dep") || continue
  needs=$(echo "${line#*:}" | tr ' ' '\n' | sed '/^$/d' | tac)
  for file in $needs "${line%%:*}"; do
    short=$(basename "$file")
    [ -e "$root/modules/$short" ] || echo "$short" >> "$root/modules/$order"
    cp "$modules/lib/modules/$release/$file" "$root/modules/$short"
  done
done
cp "$here/init" "$root/init"
printf '#!/bin/sh\necho POWEROFF > /dev/console\nexec poweroff -f\n' > "$root/etc/acpi/PWRF/00000080"
chmod 755 "$root/init" "$root/etc/acpi/PWRF/00000080"
find "$root" -exec touch -h -d @0 {} +
( cd "$root" && find . | sort | cpio --quiet --reproducible -o -H newc -R 0:0 ) | gzip -9n > "$work/initrd"

# -- image: boot sector, core, kernel and initial file system at fixed sectors --------------------
cp "$work/$kernel"/boot/vmlinuz-* "$work/vmlinuz"
sectors() { echo $(( ($(stat -c %s "$1") + 511) / 512 )); }
kernel_at=2048; kernel_len=$(sectors "$work/vmlinuz")
initrd_at=$(( kernel_at + (kernel_len + 2047) / 2048 * 2048 )); initrd_len=$(sectors "$work/initrd")
cat > "$work/grub.cfg" <<CFG
linux16 (hd0)$kernel_at+$kernel_len $CMDLINE
initrd16 (hd0)$initrd_at+$initrd_len
boot
CFG
LD_LIBRARY_PATH=$(dirname "$(ls -1 "$work"/libdevmapper1.02.1/lib/*/libdevmapper.so.1.02.1)") \
  "$work/grub-common/usr/bin/grub-mkimage" -O i386-pc -p / -c "$work/grub.cfg" \
  -d "$work/grub-pc-bin/usr/lib/grub/i386-pc" -o "$work/core.img" $GRUB_MODULES
core_len=$(sectors "$work/core.img")
[ "$core_len" -lt 1023 ] || { echo "build-guest: GRUB's core does not fit" >&2; exit 1; }
put() { dd if="$1" of="$work/image" bs=512 seek="$2" conv=notrunc status=none; }
truncate -s $(( (initrd_at + initrd_len + 2047) / 2048 * 1048576 )) "$work/image"
put "$work/grub-pc-bin/usr/lib/grub/i386-pc/boot.img" 0
put "$work/core.img" 1
put "$work/vmlinuz" "$kernel_at"
put "$work/initrd" "$initrd_at"
cp "$work/vmlinuz" "$image.kernel"
cp "$work/initrd" "$image.initrd"
echo "$CMDLINE" > "$image.words"
mv "$work/image" "$image"
echo "$image: $(( $(stat -c %s "$image") / 1048576 )) MiB," \
  "kernel $release $(( kernel_len / 2 )) KiB, initial file system $(( initrd_len / 2 )) KiB"
