# The agent as a unit: ready, fed, missed when it is off, and its workers with it.
mkdir -p /tmp/home/etc && cp /tmp/share/aloud.toml /tmp/home/etc/ && cd /tmp/home/etc
aloud server --config aloud.toml --init >/tmp/first 2>&1 & first=$!
until_so 20 grep -q ready /tmp/first
kill $first && wait $first
mkdir -p /tmp/home/srv/releases/1 && ln -s releases/1 /tmp/home/srv/current
aloud systemd --install --user-units >/dev/null 2>&1
for unit in server.service agent.service check.service check.timer; do
  mkdir -p $UNITS/aloud-$unit.d
  printf '[Unit]\nDefaultDependencies=no\n' >$UNITS/aloud-$unit.d/early.conf
done
printf '[Service]\nWatchdogSec=3\n' >$UNITS/aloud-agent.service.d/soon.conf
systemctl --user daemon-reload
workers() { aloud workers 2>/dev/null | awk '/^mail /{print $3}'; }
both_ready() { [ "$(aloud workers 2>/dev/null | grep -c 'mail .* ready')" = 2 ]; }
gone() { ! kill -0 "$1" 2>/dev/null; }
systemctl --user start aloud-server.service aloud-agent.service || tail -n 40 /tmp/systemd.log
echo "started: $(prop aloud-agent.service ActiveState), $(prop aloud-agent.service StatusText)"
until_so 30 both_ready
first=$(workers)
group=$(prop aloud-agent.service ControlGroup)
for pid in $first; do grep -q "$group/workers/" /proc/$pid/cgroup && echo "a worker in a group of its own"; done
begun=$(prop aloud-agent.service ActiveEnterTimestampMonotonic)
until_so 30 at_least aloud-agent.service WatchdogTimestampMonotonic $((begun + 7000000))
echo "two watchdogs later: $(prop aloud-agent.service NRestarts) restarts"
kill -STOP $(prop aloud-agent.service MainPID)
until_so 30 at_least aloud-agent.service NRestarts 1
for pid in $first; do until_so 20 gone $pid; done
until_so 30 both_ready
echo "off, and on again: $(prop aloud-agent.service NRestarts) restart, other workers"
second=$(workers)
systemctl --user stop aloud-agent.service
for pid in $second; do until_so 20 gone $pid; done
echo "stopped: $(prop aloud-agent.service Result), and its workers with it"
systemctl --user stop aloud-server.service
