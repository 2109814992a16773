package org.enelservice.listener;

import java.time.Duration;
import java.util.concurrent.ThreadLocalRandom;

/** Pauses between attempts: they double up to a limit and stay there, so that asking never ends. */
final class Backoff {

    private static final Duration FIRST = Duration.ofMillis(500);
    private static final Duration LONGEST = Duration.ofSeconds(30);
    /** What the service may ask for at most; an absurd Retry-After must not silence the listener. */
    private static final Duration LONGEST_ASKED_FOR = Duration.ofSeconds(60);

    private Backoff() {
    }

    /**
     * Pause after a number of failures in a row, at least one.
     *
     * @param askedFor what the service asked for, zero if nothing
     */
    static Duration pause(int failures, Duration askedFor) {
        int doublings = Math.min(failures - 1, 10);
        long millis = Math.min(FIRST.toMillis() << doublings, LONGEST.toMillis());
        // Between half and all of it, so that many applications do not come back in step after an outage.
        long jittered = millis / 2 + ThreadLocalRandom.current().nextLong(millis / 2 + 1);
        long asked = Math.min(askedFor.toMillis(), LONGEST_ASKED_FOR.toMillis());
        return Duration.ofMillis(Math.max(jittered, asked));
    }
}
