<?php

// A recipe for Deployer 7: after its own switch of the symlink the workers are
// restarted, and the deploy goes on only when each of them is confirmed to run
// the new release. Require it after the recipe of your framework:
//
//     require 'recipe/laravel.php';
//     require '/path/to/aloud.php';

namespace Deployer;

use Deployer\Exception\RunException;

// How aloud is called on the host; `sudo aloud` where only root may restart.
set('bin/aloud', 'aloud');
// How long all workers together may take to get ready.
set('aloud_restart_timeout', '5m');
// How many seconds Deployer waits for the answer: longer than the above.
set('aloud_patience', 360);

// Prints what aloud said as it said it.
function aloud(string $command): void
{
    foreach (explode("\n", trim(run("{{bin/aloud}} $command 2>&1", timeout: (int) get('aloud_patience')))) as $line) {
        writeln(str_replace('<', '\\<', $line));
    }
}

desc('Moves every worker to the current release, and fails unless each is confirmed');
task('aloud:restart', function () {
    aloud('restart --timeout {{aloud_restart_timeout}}');
});

desc('Says how the workers and the queue are; fails when something is wrong');
task('aloud:status', function () {
    aloud('status');
});

desc('Removes old releases that no process is in');
task('aloud:prune', function () {
    try {
        aloud('prune');
    } catch (RunException $red) {
        // The deploy is done; what could not be removed is told, and is no reason to undo it.
        writeln('<comment>aloud prune: ' . str_replace('<', '\\<', trim($red->getMessage())) . '</comment>');
    }
});

after('deploy:symlink', 'aloud:restart');
// Deployer's own rollback restarts nothing.
after('rollback', 'aloud:restart');

// Deployer's own cleanup removes releases that processes may still be in.
task('deploy:cleanup', function () {
    invoke('aloud:prune');
});
