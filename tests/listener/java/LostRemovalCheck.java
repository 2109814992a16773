package org.enelservice.listener;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/** Takes in one of five executors, whose end Spark's bus drops, and prints what is known of it as time goes by. */
final class LostRemovalCheck {

    private static final long KILLED_AT = 1000;

    private final AtomicLong nanos = new AtomicLong();
    private final ExecutorRoster roster = new ExecutorRoster(nanos::get);
    private static final Duration WITHIN = ListenerSettings.KILLED_WITHIN;

    private final ExecutorTimeline timeline = new ExecutorTimeline();
    private List<String> active = List.of("0", "1", "2", "3", "4");
    private final RosterAudit audit = new RosterAudit(
            roster, timeline, () -> active, Runnable::run, Duration.ZERO, new ExecutionLog("check"));

    public static void main(String[] arguments) {
        new LostRemovalCheck().run();
    }

    private void run() {
        for (String id : active) {
            roster.add(id);
            timeline.added(0);
        }
        roster.taskStarted("4");
        roster.markLeaving(List.of("4"), WITHIN);
        tell("told to go", 0);
        active = List.of("0", "1", "2", "3");
        tell("not in Spark's list", 0);
        tell("its end may still come", 60);
        // The rescaler looks every second, the audit at the ends of jobs.
        nanos.addAndGet(TimeUnit.SECONDS.toNanos(1));
        System.out.println("before the audit: staying " + roster.stayingByLeastLoss());
        tell("its end was dropped", 0);

        roster.markLeaving(List.of("3"), WITHIN);
        tell("another one told to go, which stays", 61);
    }

    /** Has the audit ask and mend, which takes two checks. */
    private void tell(String when, int secondsLater) {
        nanos.addAndGet(TimeUnit.SECONDS.toNanos(secondsLater));
        long time = KILLED_AT + TimeUnit.NANOSECONDS.toMillis(nanos.get());
        boolean mended = audit.check(time) | audit.check(time);
        System.out.println(when + ": size " + roster.size() + ", staying " + roster.stayingByLeastLoss()
                + ", scale-out " + timeline.scaleOutAt(time) + (mended ? ", mended" : ""));
    }
}
