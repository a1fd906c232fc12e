<?php
// A worker: takes jobs over HTTP, and writes down which version did which. What
// does a job is loaded from the release when the first job comes, not before.
$stopping = false;
pcntl_async_signals(true);
pcntl_signal(SIGTERM, function () use (&$stopping) { $stopping = true; });
spl_autoload_register(fn ($class) => require __DIR__ . "/src/$class.php");

function call(string $path, array $body): ?array
{
    $headers = [
        'Authorization: Bearer ' . trim(file_get_contents(getenv('ALOUD_TOKEN_FILE'))),
        'Content-Type: application/json',
        'Aloud-Worker: ' . getenv('ALOUD_WORKER'),
        'Aloud-Release: ' . getenv('ALOUD_RELEASE'),
    ];
    $http = ['method' => 'POST', 'header' => $headers, 'content' => json_encode($body), 'timeout' => 60];
    $answer = @file_get_contents(getenv('ALOUD_URL') . $path, false, stream_context_create(['http' => $http]));
    return $answer === false ? null : json_decode($answer, true);
}

$cached = function_exists('opcache_get_status') && (opcache_get_status(false)['opcache_enabled'] ?? false);
echo 'opcache is ', $cached ? 'on' : 'off', "\n";
$done = [];
while (true) {
    $wish = ['acks' => $done];
    if (!$stopping) {
        $wish['lease'] = ['queues' => ['default'], 'worker' => 'php', 'limit' => 5, 'wait' => '500ms', 'for' => '20s'];
    } elseif (!$done) {
        break;
    }
    $answer = call('/v1/finish', $wish);
    if ($answer === null) {
        usleep(100_000);
        continue;
    }
    $done = [];
    $stopping = $stopping || ($answer['quiet'] ?? false);
    foreach ($answer['jobs'] as $job) {
        file_put_contents(getenv('BOOK'), $job['id'] . ' ' . Send::VERSION . ' ' . microtime(true) . "\n", FILE_APPEND);
        $done[] = ['id' => $job['id'], 'lease' => $job['lease']];
    }
}
