#!/usr/bin/env php
<?php
// Runs a PHP function as a process of an oxherd pool (docs/handlers/helpers.md). PHP 8.1 or newer, nothing else.
//
//   php oxherd.php FILE.php [--stdio]
//
// The file returns the function, which gets the job as frames carry it and a context:
//
//   return function (array $job, Oxherd $ctx): mixed {
//       $ctx->log("hello {$job['job']['name']}");
//       $ctx->updateProgress(50);
//       if ($ctx->cancelled()) { return null; }     // asked to stop
//       return ['pages' => 12];
//   };
//
// What it returns is the job's result; what it throws is a retry. An OxherdFail, or whatever is named
// UnrecoverableError, fails the job for good; OxherdDefer puts it off. One job at a time: start more processes for more.
// --stdio: frames on standard input and output instead of descriptors 3 and 4. What the function prints goes to
// standard error.
declare(strict_types=1);

/** Fails the job for good, whatever attempts are left. */
class OxherdFail extends RuntimeException
{
}

/** Puts the job off without charging an attempt. */
class OxherdDefer extends RuntimeException
{
    public function __construct(public readonly float $seconds = 30, string $reason = 'put off')
    {
        parent::__construct($reason);
    }
}

/** Not wanted any more: completes the job, counted apart. */
class OxherdDiscard extends RuntimeException
{
}

/** To go on when the job's children have ended. */
class OxherdWaitForChildren extends RuntimeException
{
}

/** Something asked for of what stands beside the queues was not done. */
class OxherdAppError extends RuntimeException
{
}

/** What stands beside the queues (docs/app.md): whatever is asked for is done by the daemon. */
final class OxherdApp
{
    public readonly OxherdCache $cache;
    public readonly OxherdSessions $sessions;
    public readonly OxherdLimiter $limiter;
    public readonly OxherdPresence $presence;

    public function __construct(private readonly OxherdWire $wire, private readonly string $ref)
    {
        $this->cache = new OxherdCache($this);
        $this->sessions = new OxherdSessions($this);
        $this->limiter = new OxherdLimiter($this);
        $this->presence = new OxherdPresence($this);
    }

    /** One operation, as docs/app.md lists them. Waits for the answer. */
    public function call(string $op, array $args = []): mixed
    {
        return $this->wire->ask($this->ref, $op, $args);
    }
}

/** Values that can be made again. Keys are made by OxherdCache::key(). */
final class OxherdCache
{
    public function __construct(private readonly OxherdApp $app)
    {
    }

    public static function key(string $entity, string $operation, array $ids = [], ?string $variant = null): array
    {
        $key = ['entity' => $entity, 'operation' => $operation, 'ids' => (object) $ids];
        return $variant === null ? $key : $key + ['variant' => $variant];
    }

    /** The value; null where it is known that there is nothing, the default where nothing is known. */
    public function get(array $key, mixed $default = null): mixed
    {
        $told = $this->app->call('cache.get', ['key' => $key]);
        return $told['found'] ? $told['value'] : $default;
    }

    /** Several values, in the order asked for. */
    public function getMany(array $keys, mixed $default = null): array
    {
        $read = static fn (array $told): mixed => $told['found'] ? $told['value'] : $default;
        return array_map($read, $this->app->call('cache.getMany', ['keys' => array_values($keys)]));
    }

    /** Stores a value, for so many seconds at most. */
    public function set(array $key, mixed $value, ?float $ttl = null, array $tags = []): void
    {
        $this->app->call('cache.set', ['key' => $key, 'value' => $value] + self::kept($ttl, $tags));
    }

    /** Deletes values; how many there were. */
    public function delete(array ...$keys): int
    {
        return $this->app->call('cache.delete', ['keys' => $keys])['deleted'];
    }

    /** Deletes the values that bear a tag; how many there were. */
    public function deleteTag(string $tag): int
    {
        return $this->app->call('cache.deleteTag', ['tag' => $tag])['deleted'];
    }

    /** The value, made by the function where it is not there, once for all processes that ask for it. */
    public function getOrSet(array $key, callable $make, ?float $ttl = null, array $tags = []): mixed
    {
        $begun = $this->app->call('cache.begin', ['key' => $key] + self::kept($ttl, $tags));
        if ($begun['found']) {
            return $begun['value'];
        }
        try {
            $value = $make();
        } catch (Throwable $error) {
            $this->quietly('cache.leave', ['ticket' => $begun['ticket']]);
            throw $error;
        }
        $this->quietly('cache.fill', ['ticket' => $begun['ticket'], 'value' => $value]);
        return $value;
    }

    /** Whoever made a value has it, stored or not. */
    private function quietly(string $op, array $args): void
    {
        try {
            $this->app->call($op, $args);
        } catch (OxherdAppError) {
        }
    }

    private static function kept(?float $ttl, array $tags): array
    {
        $kept = ['tags' => array_values($tags)];
        return $ttl === null ? $kept : $kept + ['ttl' => OxherdWire::milliseconds($ttl)];
    }
}

/** Log-in sessions. A session is an array: user, device, createdAt, seenAt, endsAt, data; null where there is none. */
final class OxherdSessions
{
    public function __construct(private readonly OxherdApp $app)
    {
    }

    /** An array of id, device and madeRoom; null when the user has all that are allowed. Times in seconds. */
    public function create(
        string $user,
        mixed $data = null,
        ?float $ttl = null,
        ?float $maxAge = null,
        ?int $limit = null,
        ?string $atLimit = null,
    ): ?array {
        $span = static fn (?float $time): ?string => $time === null ? null : OxherdWire::milliseconds($time);
        $policy = ['ttl' => $span($ttl), 'maxAge' => $span($maxAge), 'limit' => $limit, 'atLimit' => $atLimit];
        return $this->app->call('session.create', ['user' => $user, 'data' => $data, 'policy' => $policy]);
    }

    public function read(string $id): ?array
    {
        return $this->app->call('session.read', ['id' => $id]);
    }

    public function touch(string $id): ?array
    {
        return $this->app->call('session.touch', ['id' => $id]);
    }

    public function update(string $id, mixed $data): ?array
    {
        return $this->app->call('session.update', ['id' => $id, 'data' => $data]);
    }

    public function revoke(string $id): bool
    {
        return $this->app->call('session.revoke', ['id' => $id])['revoked'] === 1;
    }

    public function revokeDevice(string $user, string $device): bool
    {
        return $this->app->call('session.revokeDevice', ['user' => $user, 'device' => $device])['revoked'] === 1;
    }

    /** Ends all of a user, but for the one with the id given; how many. */
    public function revokeAll(string $user, ?string $but = null): int
    {
        return $this->app->call('session.revokeAll', ['user' => $user, 'but' => $but])['revoked'];
    }

    public function list(string $user): array
    {
        return $this->app->call('session.list', ['user' => $user]);
    }

    public function count(string $user): int
    {
        return $this->app->call('session.count', ['user' => $user])['count'];
    }
}

/** Limits on requests. What is answered is an array: allowed, remaining, retryAfterMs, resetMs. */
final class OxherdLimiter
{
    public function __construct(private readonly OxherdApp $app)
    {
    }

    /** At most $max in $per seconds. More: kind => 'bucket', burst, cost, strict. */
    public function check(string $user, string $action, int $max, float $per, array $more = []): array
    {
        return $this->app->call('limit.check', self::args($user, $action, $max, $per) + $more);
    }

    public function peek(string $user, string $action, int $max, float $per, array $more = []): array
    {
        return $this->app->call('limit.peek', self::args($user, $action, $max, $per) + $more);
    }

    public function reset(string $user, string $action, int $max, float $per, array $more = []): void
    {
        $this->app->call('limit.reset', self::args($user, $action, $max, $per) + $more);
    }

    private static function args(string $user, string $action, int $max, float $per): array
    {
        return ['user' => $user, 'action' => $action, 'max' => $max, 'per' => OxherdWire::milliseconds($per)];
    }
}

/** Who is there. */
final class OxherdPresence
{
    public function __construct(private readonly OxherdApp $app)
    {
    }

    /** Whether the member has come with it (changed), and its connections. $ttl in seconds. */
    public function beat(string $room, string $member, string $connection, float $ttl, mixed $data = null): array
    {
        $args = ['room' => $room, 'member' => $member, 'connection' => $connection];
        $args['ttl'] = OxherdWire::milliseconds($ttl);
        return $this->app->call('presence.beat', $data === null ? $args : $args + ['data' => $data]);
    }

    /** One connection leaves, or all of the member. */
    public function leave(string $room, string $member, ?string $connection = null): array
    {
        return $this->app->call('presence.leave', ['room' => $room, 'member' => $member, 'connection' => $connection]);
    }

    public function list(string $room, ?int $most = null): array
    {
        return $this->app->call('presence.list', ['room' => $room, 'most' => $most]);
    }

    public function count(string $room): int
    {
        return $this->app->call('presence.count', ['room' => $room])['count'];
    }

    /** Which of these are there, in their order. */
    public function online(string $room, array $members): array
    {
        return $this->app->call('presence.online', ['room' => $room, 'members' => array_values($members)]);
    }
}

/** What a job may use while it runs. */
final class Oxherd
{
    public readonly OxherdApp $app;
    private ?string $reason = null;

    public function __construct(private readonly OxherdWire $wire, private readonly string $ref)
    {
        $this->app = new OxherdApp($wire, $ref);
    }

    /** How far the job is: any JSON, usually a number up to 100. */
    public function updateProgress(mixed $value): void
    {
        $this->say('progress', ['value' => $value]);
    }

    /** Adds a line to the job's log. */
    public function log(string $line): void
    {
        $this->say('log', ['line' => $line]);
    }

    /** Replaces the job's stored data, for the next attempt. */
    public function updateData(mixed $data): void
    {
        $this->say('data', ['data' => $data]);
    }

    /** Adds children in the shape of BullMQ's FlowProducer; throw OxherdWaitForChildren to wait for them. */
    public function addChildren(array $children): void
    {
        $this->say('children', ['children' => array_values($children)]);
    }

    /** Moves the deadline to so long from now. */
    public function extend(float $seconds): void
    {
        $this->say('extend', ['by' => OxherdWire::milliseconds($seconds)]);
    }

    /** Whether the job is to stop. Call it now and then in long work: it also answers the daemon that the process lives. */
    public function cancelled(): bool
    {
        $this->wire->attend();
        return $this->reason !== null;
    }

    /** Why it is to stop; null when it is not. */
    public function cancelReason(): ?string
    {
        return $this->reason;
    }

    /** @internal */
    public function toldToStop(string $reason): void
    {
        $this->reason = $reason;
    }

    private function say(string $kind, array $members): void
    {
        $this->wire->send(['t' => $kind, 'ref' => $this->ref] + $members);
        $this->wire->attend();
    }
}

/** Frames in and out. */
final class OxherdWire
{
    private string $begun = '';
    /** Frames heard while a job ran, to be acted on after it. */
    private array $waiting = [];
    private ?string $ref = null;
    private ?Oxherd $context = null;
    /** Things asked for so far. */
    private int $asked = 0;
    /** The answer to the last of them. */
    private ?array $told = null;

    /** @param resource $in @param resource $out */
    public function __construct(private $in, private $out)
    {
        stream_set_blocking($in, false);
        stream_set_blocking($out, true);
    }

    public function send(array $frame): void
    {
        $flags = JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_PRESERVE_ZERO_FRACTION | JSON_INVALID_UTF8_SUBSTITUTE;
        $bytes = json_encode($frame, $flags) . "\n";
        while ($bytes !== '') {
            $count = @fwrite($this->out, $bytes);
            if ($count === false || $count === 0) {
                exit(0); // nobody listens any more
            }
            $bytes = substr($bytes, $count);
        }
    }

    /** Serves jobs until there are to be no more. */
    public function serve(callable $work): void
    {
        while (true) {
            $frame = array_shift($this->waiting);
            if ($frame === null) {
                $this->read(true);
                continue;
            }
            if ($frame['t'] === 'drain') {
                $this->send(['t' => 'bye']);
                return;
            }
            $this->run($work, $frame);
        }
    }

    /** Hears what came meanwhile, without waiting: pings are answered, a cancellation reaches its job. */
    public function attend(): void
    {
        $this->read(false);
    }

    /** Asks the daemon for something and waits for the answer; pings and cancellations are attended to meanwhile. */
    public function ask(string $ref, string $op, array $args): mixed
    {
        $this->told = null;
        $this->asked += 1;
        $this->send(['t' => 'app', 'ref' => $ref, 'n' => $this->asked, 'op' => $op, 'args' => (object) $args]);
        while ($this->told === null) {
            $this->read(true);
        }
        if (isset($this->told['error'])) {
            throw new OxherdAppError((string) $this->told['error']);
        }
        return $this->told['result'] ?? null;
    }

    public static function milliseconds(float $seconds): string
    {
        return max(0, (int) round($seconds * 1000)) . 'ms';
    }

    private function read(bool $patient): void
    {
        $read = [$this->in];
        $none = null;
        // interrupted by a signal it says false
        if (@stream_select($read, $none, $none, $patient ? null : 0) !== 1) {
            return;
        }
        $bytes = fread($this->in, 1 << 20);
        if ($bytes === false || ($bytes === '' && feof($this->in))) {
            exit(0); // the daemon is gone, and somebody else will run what runs here
        }
        if (!str_contains($bytes, "\n")) {
            $this->begun .= $bytes;
            return;
        }
        $lines = explode("\n", $this->begun . $bytes);
        $this->begun = array_pop($lines);
        foreach ($lines as $line) {
            $this->hear($line);
        }
    }

    private function hear(string $line): void
    {
        if (trim($line) === '') {
            return;
        }
        $frame = json_decode($line, true, 1024, JSON_BIGINT_AS_STRING);
        if (!is_array($frame)) {
            fwrite(STDERR, 'oxherd.php: a frame that is not JSON: ' . json_last_error_msg() . "\n");
            return;
        }
        switch ($frame['t'] ?? null) {
            case 'job':
            case 'drain':
                $this->waiting[] = $frame;
                break;
            case 'ping':
                $this->send(['t' => 'pong', 'n' => $frame['n'] ?? null]);
                break;
            case 'app':
                if (($frame['n'] ?? null) === $this->asked) {
                    $this->told = $frame;
                }
                break;
            case 'cancel':
                $reason = (string) ($frame['reason'] ?? 'no reason given');
                if ($this->ref !== null && $this->ref === ($frame['ref'] ?? null)) {
                    $this->context->toldToStop($reason);
                    break;
                }
                $this->cancelWaiting($frame['ref'] ?? null, $reason);
        }
    }

    /** A job that has not begun is not begun any more. */
    private function cancelWaiting(mixed $ref, string $reason): void
    {
        foreach ($this->waiting as $at => $frame) {
            if ($frame['t'] === 'job' && $frame['ref'] === $ref) {
                array_splice($this->waiting, $at, 1);
                $this->send(['t' => 'fail', 'ref' => $ref, 'message' => "told to stop: $reason"]);
                return;
            }
        }
    }

    private function run(callable $work, array $frame): void
    {
        $this->ref = $frame['ref'];
        $this->context = new Oxherd($this, $this->ref);
        try {
            $ended = ['t' => 'done', 'ref' => $this->ref, 'result' => $work($frame, $this->context)];
        } catch (Throwable $error) {
            $ended = $this->failure($error);
        }
        [$ref, $this->ref, $this->context] = [$this->ref, null, null];
        try {
            $this->send($ended);
        } catch (JsonException $error) {
            $this->send(['t' => 'fail', 'ref' => $ref, 'message' => "the result is not JSON: {$error->getMessage()}"]);
        }
    }

    /** What an exception means. */
    private function failure(Throwable $error): array
    {
        $name = (new ReflectionClass($error))->getShortName();
        $frame = ['t' => 'fail', 'ref' => $this->ref, 'message' => $error->getMessage() ?: $name];
        return match (true) {
            $error instanceof OxherdDefer =>
                $frame + ['outcome' => 'defer', 'after' => self::milliseconds($error->seconds)],
            $error instanceof OxherdDiscard => $frame + ['outcome' => 'discard'],
            $error instanceof OxherdWaitForChildren => $frame + ['outcome' => 'waiting-children'],
            $error instanceof OxherdFail, $name === 'UnrecoverableError' =>
                $frame + ['outcome' => 'fail', 'stack' => (string) $error],
            default => $frame + ['stack' => (string) $error],
        };
    }
}

(static function (array $words): void {
    $usage = static function (string $problem): never {
        fwrite(STDERR, "oxherd.php: $problem\nusage: php oxherd.php FILE.php [--stdio]\n");
        exit(2);
    };
    $file = null;
    $stdio = false;
    foreach (array_slice($words, 1) as $word) {
        if ($word === '--stdio') {
            $stdio = true;
        } elseif (str_starts_with($word, '--')) {
            $usage("unknown option $word");
        } elseif ($file !== null) {
            $usage("one file expected, got also $word");
        } else {
            $file = $word;
        }
    }
    if ($file === null) {
        $usage('no file given');
    }
    ini_set('display_errors', 'stderr');
    ini_set('log_errors', '0');
    set_time_limit(0);
    // whatever the function prints, buffered or not, leaves standard output alone
    ob_start(static function (string $printed): string {
        fwrite(STDERR, $printed);
        return '';
    }, 1);
    $in = @fopen($stdio ? 'php://stdin' : 'php://fd/3', 'rb');
    $out = @fopen($stdio ? 'php://stdout' : 'php://fd/4', 'wb');
    if ($in === false || $out === false) {
        $usage('descriptors 3 and 4 are not open; it is started by oxherd, or with --stdio');
    }
    $wire = new OxherdWire($in, $out);
    $wire->send(['t' => 'hello', 'proto' => 1, 'slots' => 1]);
    if (!is_file($file)) {
        fwrite(STDERR, "oxherd.php: no file $file\n");
        exit(1);
    }
    $work = require $file;
    if (!is_callable($work)) {
        fwrite(STDERR, "oxherd.php: $file returns " . get_debug_type($work) . ", expected a function\n");
        exit(1);
    }
    $wire->send(['t' => 'ready']);
    $wire->serve($work);
})($argv);
