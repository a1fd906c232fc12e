# Makes a world of its own for one systemd, proves that it is one, and only then
# runs what it is given as an ordinary user. The caller has put this process into
# new namespaces, and into a control group that it ends afterwards.
#
#   inside.sh SHARE PROGRAM OUTSIDE
#
# SHARE holds `units/` and `script`; PROGRAM is the aloud that is tested; OUTSIDE
# names the namespaces of the caller.
set -eu
share=$1 program=$2 outside=$3
private="/run /dev/shm /tmp /var/tmp"

mount --make-rprivate /
# What is shared is reached through / until it is hidden; it waits aside.
mount -t tmpfs tmpfs /mnt
mkdir /mnt/share
touch /mnt/aloud
mount --bind "$share" /mnt/share
mount --bind "$program" /mnt/aloud
for place in $private; do
  mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$place"
done
mkdir -p /tmp/share /tmp/bin
touch /tmp/bin/aloud
mount --move /mnt/share /tmp/share
mount --move /mnt/aloud /tmp/bin/aloud
umount /mnt

for place in /proc/sys /dev /sys; do
  mount --rbind "$place" "$place"
done
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# Everything that is mounted becomes read-only, but for what is private.
while read -r _ place _; do
  case " $private /proc /dev/pts /sys/fs/cgroup " in
    *" $place "*) ;;
    *) mount -o remount,bind,ro "$(printf %b "$place")" 2>/dev/null || true ;;
  esac
done </proc/self/mounts

# The proof: nothing of the host can be written to, and nothing of it is in the
# folders for temporary files.
prove() { "$@" || { echo "NOT PROVEN: $*" >&2; exit 90; }; }
refuses() { ! (: >"$1/.aloud-probe") 2>/dev/null || { rm -f "$1/.aloud-probe"; return 1; }; }
holds() { [ "$(ls -A "$1")" = "$2" ]; }
for place in / /etc /var /var/lib /usr /root /home /opt /srv /boot /proc/sys /proc/sys/kernel /dev /sys /tmp/share; do
  [ ! -d "$place" ] || prove refuses "$place"
done
while read -r _ place _; do
  place=$(printf %b "$place")
  case " $private /proc /dev/pts /sys/fs/cgroup " in
    *" $place "*) ;;
    *) [ ! -d "$place" ] || prove refuses "$place" ;;
  esac
done </proc/self/mounts
prove holds /dev/shm ""
prove holds /var/tmp ""
prove holds /tmp "$(printf 'bin\nshare')"
prove test $$ = 1
for kind in mnt pid cgroup ipc uts net; do
  case " $outside " in
    *" $(readlink "/proc/self/ns/$kind") "*) prove test "$kind" = "one of its own" ;;
  esac
done

# Its own loopback, and no other network.
up='import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 0x49))'
/usr/bin/python3 -c "$up"

# systemd believes that the machine was booted by it; its own units are all it has.
home=/tmp/home units=/tmp/home/.config/systemd/user
mkdir -p /run/systemd/system /run/u "$units"
for target in basic default timers; do
  printf '[Unit]\nDefaultDependencies=no\n' >"$units/$target.target"
done
cp -a /tmp/share/units/. "$units/"
chmod 700 /run/u
chown -R 65534:65534 /sys/fs/cgroup /run/u "$home"
cd /
exec setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --no-new-privs \
  env -i PATH=/tmp/bin:/usr/bin:/bin HOME="$home" LC_ALL=C XDG_RUNTIME_DIR=/run/u UNITS="$units" \
  SYSTEMD_UNIT_PATH="$units" SYSTEMD_GENERATOR_PATH=/nonexistent \
  SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/nonexistent SYSTEMD_LOG_TARGET=console \
  bash /tmp/share/session
