<?php

// A stand-in for Deployer: as much of its language as the recipe uses, played on
// this machine. The steps are those of its own recipe, in its order.
//
//   php deployer.php RECIPE TASK

namespace Deployer\Exception {
    class RunException extends \RuntimeException
    {
    }
}

namespace Deployer {
    use Deployer\Exception\RunException;

    $tasks = $hooks = $settings = [];

    function desc(string $title): void
    {
    }

    function task(string $name, $body): void
    {
        global $tasks;
        $tasks[$name] = $body;
    }

    function after(string $task, string $do): void
    {
        global $hooks;
        $hooks[$task][] = $do;
    }

    function set(string $name, $value): void
    {
        global $settings;
        $settings[$name] = $value;
    }

    function get(string $name)
    {
        global $settings;
        return $settings[$name];
    }

    function parse(string $text): string
    {
        return preg_replace_callback('/\{\{\s*([\w.\/-]+)\s*\}\}/', fn ($found) => get($found[1]), $text);
    }

    function writeln(string $line): void
    {
        echo '[host] ', parse($line), "\n";
    }

    function run(string $command, ?int $timeout = null): string
    {
        exec(parse($command), $lines, $status);
        $said = implode("\n", $lines);
        if ($status !== 0) {
            throw new RunException("exit status $status\n$said");
        }
        return $said;
    }

    function invoke(string $name): void
    {
        global $tasks, $hooks;
        if (is_array($tasks[$name])) {
            array_map(invoke(...), $tasks[$name]);
        } else {
            $tasks[$name]();
        }
        array_map(invoke(...), $hooks[$name] ?? []);
    }

    $step = fn (string $what) => fn () => run("echo $what >>\"\$CALLS\"");
    task('deploy:symlink', $step('symlink'));
    task('deploy:unlock', $step('unlock'));
    task('deploy:cleanup', $step('rm -rf'));
    task('deploy:success', $step('success'));
    task('deploy', ['deploy:symlink', 'deploy:unlock', 'deploy:cleanup', 'deploy:success']);
    task('rollback', $step('rollback'));

    require $argv[1];

    try {
        invoke($argv[2]);
    } catch (RunException $red) {
        fwrite(STDERR, $red->getMessage() . "\n");
        exit(1);
    }
}
