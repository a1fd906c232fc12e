# One systemd, as an ordinary user, until the script has ended; the namespaces end
# with this process.
log=/tmp/systemd.log
until_so() { # until_so SECONDS COMMAND…: waits for the thing itself, with a bound
  local end=$((SECONDS + $1)); shift
  until "$@"; do
    if [ "$SECONDS" -ge "$end" ]; then echo "NEVER: $*"; tail -n 30 "$log" >&2; exit 91; fi
    sleep 0.02
  done
}
prop() { systemctl --user show --property="$2" --value "$1"; }
is() { [ "$(prop "$1" "$2")" = "$3" ]; }
at_least() { [ "$(prop "$1" "$2")" -ge "$3" ]; }
up() { case $(systemctl --user is-system-running 2>/dev/null) in running | degraded) ;; *) false ;; esac; }

/lib/systemd/systemd --user --unit=default.target >"$log" 2>&1 &
until_so 20 up
. /tmp/share/script
