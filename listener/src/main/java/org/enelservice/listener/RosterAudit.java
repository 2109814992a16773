package org.enelservice.listener;

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;

/**
 * Compares the roster with Spark's own list of executors, for Spark drops events when listeners fall behind. A
 * difference counts once it has lasted: events are on their way while the list is already right.
 */
final class RosterAudit {

    private final ExecutorRoster roster;
    private final ExecutorTimeline timeline;
    private final Supplier<List<String>> active;
    private final Executor thread;
    private final long graceNanos;
    private final ExecutionLog log;
    private final AtomicBoolean asking = new AtomicBoolean();
    private final Map<String, Long> differentSince = new HashMap<>();
    private volatile Set<String> answer;

    /**
     * @param active ids of the executors that Spark knows; may wait for Spark, and is therefore asked on {@code thread}
     * @param grace how long a difference has to last
     */
    RosterAudit(ExecutorRoster roster, ExecutorTimeline timeline, Supplier<List<String>> active, Executor thread,
            Duration grace, ExecutionLog log) {
        this.roster = roster;
        this.timeline = timeline;
        this.active = active;
        this.thread = thread;
        this.graceNanos = grace.toNanos();
        this.log = log;
    }

    /**
     * Mends what the latest answer shows, and asks anew. Belongs to the listener bus, as the timeline does.
     *
     * @param time of the event at hand, which stands for the one that was missed
     * @return whether anything was mended
     */
    boolean check(long time) {
        Set<String> known = answer;
        answer = null;
        if (asking.compareAndSet(false, true)) {
            thread.execute(() -> {
                try {
                    log.guard("comparing executors", () -> answer = Set.copyOf(active.get()));
                } finally {
                    asking.set(false);
                }
            });
        }
        // An empty list may also come from a scheduler that keeps none.
        return known != null && !known.isEmpty() && mend(known, time);
    }

    private boolean mend(Set<String> known, long time) {
        Set<String> missed = roster.notRegistered(known);
        Set<String> gone = roster.unknownTo(known);
        differentSince.keySet().removeIf(id -> !missed.contains(id) && !gone.contains(id));
        boolean mended = false;
        for (String id : missed) {
            if (hasLasted(id) && roster.add(id)) {
                timeline.added(time);
                mended = true;
            }
        }
        for (String id : gone) {
            if (hasLasted(id) && roster.remove(id)) {
                timeline.removed(time);
                mended = true;
            }
        }
        if (mended) {
            log.warnOnce("roster", "Spark's list of executors differs from its events, and is followed: {} executors",
                    roster.size());
        }
        return mended;
    }

    private boolean hasLasted(String executorId) {
        long now = System.nanoTime();
        return now - differentSince.computeIfAbsent(executorId, id -> now) >= graceNanos;
    }
}
