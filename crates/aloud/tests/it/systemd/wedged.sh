# A service that feeds its watchdog is left alone, and one that no longer does is
# started again. `heart.service` has a watchdog of a second.
beats() { [ "$(wc -l </tmp/beats)" -ge "$1" ]; }
systemctl --user start heart.service
echo "$(systemctl --user is-active heart.service): $(prop heart.service StatusText)"
# Ten in a second: this is two watchdogs long.
until_so 30 beats 25
echo "fed: $(prop heart.service NRestarts) restarts, $(systemctl --user is-active heart.service)"
first=$(prop heart.service MainPID)
touch /tmp/wedged
until_so 20 at_least heart.service NRestarts 1
rm /tmp/wedged
until_so 20 is heart.service ActiveState active
[ "$(prop heart.service MainPID)" != "$first" ] && echo "wedged: another process, Result=$(prop heart.service Result)"
echo "is-enabled: $(systemctl --user is-enabled heart.service)"
systemctl --user enable heart.service 2>/dev/null
echo "is-enabled: $(systemctl --user is-enabled heart.service)"
