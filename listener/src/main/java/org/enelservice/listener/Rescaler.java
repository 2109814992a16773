package org.enelservice.listener;

import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.IntSupplier;

/**
 * Turns recommendations into a target and brings the application to it.
 *
 * <p>Policy: the target is the recommendation for the next job, between the configured bounds. From the first
 * rescaling on, the number of executors is compared with the target whenever it may have changed and once a
 * second, on a thread of its own. Too few: the target is requested, and again if it is not reached, because
 * Spark's dynamic allocation may have replaced it with a lower one of its own. Too many: executors are
 * decommissioned, where the application's conf lets them be: they finish their tasks, and hand over what they hold.
 * Otherwise idle ones are killed at once, busy ones after a grace period, for a long stage would keep them busy for as
 * long as it runs.
 * Since only the difference to the latest target counts, targets may follow each other at any speed. An
 * executor that is lost on its own needs nothing: the target stays, and the cluster manager replaces it.
 */
final class Rescaler {

    private static final long CHECK_MILLIS = 1000;
    private static final long REPEAT_REQUEST_NANOS = TimeUnit.SECONDS.toNanos(5);

    private final ListenerSettings settings;
    private final ExecutorAllocation allocation;
    private final ExecutorRoster roster;
    private final IntSupplier lastStartedJobId;
    private final ExecutionLog log;
    private final ScheduledThreadPoolExecutor executor;
    private final AtomicBoolean checkQueued = new AtomicBoolean();

    private volatile boolean stopped;
    /** Recommended scale-out within the bounds, 0 before the first recommendation. */
    private volatile int recommended;
    /** What there shall be once we have rescaled, 0 before. */
    private volatile int target;

    // Only touched by the thread of the executor.
    private int requested;
    private long requestedAt;
    private boolean tooMany;
    private long tooManySince;

    /**
     * @param lastStartedJobId highest id of a job that has started, -1 before the first
     */
    Rescaler(ListenerSettings settings, ExecutorAllocation allocation, ExecutorRoster roster,
            IntSupplier lastStartedJobId, ExecutionLog log) {
        this.settings = settings;
        this.allocation = allocation;
        this.roster = roster;
        this.lastStartedJobId = lastStartedJobId;
        this.log = log;
        this.executor = new ScheduledThreadPoolExecutor(1, task -> {
            Thread thread = new Thread(task, "enel-rescaler");
            thread.setDaemon(true);
            return thread;
        });
    }

    /** The recommended scale-out that is in force now, empty before the first one. */
    OptionalInt scaleOutInForce() {
        int current = recommended;
        return current == 0 ? OptionalInt.empty() : OptionalInt.of(current);
    }

    /** Takes the service's answer to a prediction request; one that makes no sense is logged and ignored. */
    synchronized void accept(String answer) {
        if (stopped) {
            return;
        }
        List<Recommendation> recommendations;
        try {
            recommendations = Recommendation.parse(answer);
        } catch (IllegalArgumentException wrong) {
            log.warn("an answer of the service is ignored: {}", wrong.getMessage());
            return;
        }
        Optional<Recommendation> next = Recommendation.next(recommendations, lastStartedJobId.getAsInt());
        if (next.isEmpty()) {
            log.debug("no recommendation for a job to come: {}", ExecutionLog.detail(answer));
            return;
        }
        int wanted = Math.max(settings.minExecutors(), Math.min(settings.maxExecutors(), next.get().scaleOut()));
        int current = current();
        recommended = wanted;
        if (wanted == current) {
            log.debug("the scale-out stays at {} for job {}", wanted, next.get().jobId());
            return;
        }
        log.info("rescaling from {} to {} executors: {} are recommended for job {}, bounds are {} to {}",
                current, wanted, next.get().scaleOut(), next.get().jobId(), settings.minExecutors(),
                settings.maxExecutors());
        boolean first = target == 0;
        target = wanted;
        if (first) {
            executor.scheduleWithFixedDelay(this::check, 0, CHECK_MILLIS, TimeUnit.MILLISECONDS);
        } else {
            checkSoon();
        }
    }

    private int current() {
        if (target != 0) {
            return target;
        }
        return settings.initialExecutors() > 0 ? settings.initialExecutors() : roster.size();
    }

    /** Notes that executors came or went, or that a job ended and leaves many of them idle. */
    void executorsChanged() {
        checkSoon();
    }

    /** Notes that an executor ran its last task, which makes it a candidate if there are too many. */
    void executorBecameIdle() {
        if (roster.size() > target) {
            checkSoon();
        }
    }

    /** Runs what may wait for Spark on the thread that may; nothing once stopped. */
    void execute(Runnable task) {
        try {
            executor.execute(task);
        } catch (RejectedExecutionException stoppedMeanwhile) {
            log.debug("stopped meanwhile");
        }
    }

    /** Leaves the application alone from now on. */
    void stop() {
        stopped = true;
        executor.shutdown();
    }

    private void checkSoon() {
        if (target == 0 || stopped || !checkQueued.compareAndSet(false, true)) {
            return;
        }
        try {
            executor.execute(this::check);
        } catch (RejectedExecutionException stoppedMeanwhile) {
            checkQueued.set(false);
        }
    }

    private void check() {
        checkQueued.set(false);
        // A scheduled task that throws is never run again, therefore the guard.
        log.guard("rescaling", () -> {
            try {
                approachTarget();
            } catch (RuntimeException failure) {
                // While Spark stops, its calls fail as a matter of course.
                if (!stopped) {
                    throw failure;
                }
            }
        });
    }

    private void approachTarget() {
        if (stopped) {
            return;
        }
        int wanted = target;
        List<String> staying = roster.stayingByLeastLoss();
        boolean tooFew = staying.size() < wanted;
        if (requested != wanted || tooFew && System.nanoTime() - requestedAt > REPEAT_REQUEST_NANOS) {
            request(wanted);
        }
        int surplus = staying.size() - wanted;
        if (surplus > 0 && requested == wanted) {
            takeIn(staying.subList(0, surplus));
        } else {
            tooMany = false;
        }
    }

    private void request(int wanted) {
        requestedAt = System.nanoTime();
        if (allocation.request(wanted)) {
            requested = wanted;
        } else if (!stopped) {
            log.warnOnce("refused request", "the cluster manager did not accept a request for {} executors", wanted);
        }
    }

    private void takeIn(List<String> surplus) {
        if (!tooMany) {
            tooMany = true;
            tooManySince = System.nanoTime();
        }
        if (allocation.decommissions()) {
            // What they hold is not lost, nor are the tasks that they run: there is nothing to wait for.
            List<String> leaving = allocation.decommission(surplus);
            roster.markLeaving(leaving, settings.decommissionTimeout());
            if (!leaving.isEmpty()) {
                log.info("decommissioning executors {}", leaving);
            }
            return;
        }
        boolean busyToo = System.nanoTime() - tooManySince > settings.busyExecutorGrace().toNanos();
        List<String> leaving = allocation.kill(surplus, busyToo);
        roster.markLeaving(leaving, ListenerSettings.KILLED_WITHIN);
        if (!leaving.isEmpty()) {
            log.info("taking in executors {}{}", leaving, busyToo ? ", busy as they are" : "");
        }
    }
}
