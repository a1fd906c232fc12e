# Installs aloud's units as an ordinary user, and sees what the check says of them.
check() { aloud systemd --check --user-units 2>/tmp/hints; echo "exit $?"; }
plain() { sed 's/last [0-9]* s ago/last N s ago/'; }
mkdir -p /tmp/home/etc && cp /tmp/share/aloud.toml /tmp/home/etc/ && cd /tmp/home/etc
aloud server --config aloud.toml --init >/tmp/first 2>&1 & first=$!
until_so 20 grep -q ready /tmp/first
kill $first && wait $first
echo "# before"; check
aloud systemd --install --user-units 2>/dev/null | sed 's/ .*\// /'
# The units have no early dependencies here, where there is no boot.
for unit in server.service agent.service check.service check.timer; do
  mkdir -p $UNITS/aloud-$unit.d
  printf '[Unit]\nDefaultDependencies=no\n' >$UNITS/aloud-$unit.d/early.conf
done
# In the place of the agent: something that is ready and feeds its watchdog.
printf '[Service]\nExecStart=\nExecStart=/usr/bin/python3 /tmp/share/heart.py\n' \
  >$UNITS/aloud-agent.service.d/place.conf
printf '[Service]\nWatchdogSec=2\n' >$UNITS/aloud-server.service.d/soon.conf
systemctl --user daemon-reload
echo "# installed, not started"; check; cat /tmp/hints
systemctl --user start aloud-server.service aloud-agent.service aloud-check.timer || tail -n 40 /tmp/systemd.log
echo "# started"; check; cat /tmp/hints
systemctl --user start aloud-check.service; echo "the check: $(prop aloud-check.service Result)"
# It was told so at the start; when it is told so again later than a watchdog, it was fed.
begun=$(prop aloud-server.service ActiveEnterTimestampMonotonic)
until_so 30 at_least aloud-server.service WatchdogTimestampMonotonic $((begun + 5000000))
echo "# two watchdogs later: $(prop aloud-server.service NRestarts) restarts"
kill -STOP $(prop aloud-server.service MainPID)
until_so 30 at_least aloud-server.service NRestarts 1
until_so 20 is aloud-server.service ActiveState active
echo "# stopped in its tracks, and started again"; check | plain; cat /tmp/hints
systemctl --user disable aloud-agent.service 2>/dev/null
echo "# disabled"; check | plain; tail -n 1 /tmp/hints
systemctl --user start aloud-check.service; echo "the check: $(prop aloud-check.service Result)"
systemctl --user stop aloud-server.service
echo "stopped: $(prop aloud-server.service Result)"
