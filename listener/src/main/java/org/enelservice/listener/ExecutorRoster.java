package org.enelservice.listener;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/** The registered executors and how busy they are; the driver is never one of them. Thread-safe. */
final class ExecutorRoster {

    private static final class Executor {
        final String id;
        final long order;
        int runningTasks;
        long leavingSince;
        long leavingNanos;
        boolean leaving;
        boolean unknown;

        Executor(String id, long order) {
            this.id = id;
            this.order = order;
        }

        int runningTasks() {
            return runningTasks;
        }

        long order() {
            return order;
        }
    }

    private final Map<String, Executor> executors = new HashMap<>();
    private final LongSupplier nanoTime;
    private long nextOrder;

    ExecutorRoster() {
        this(System::nanoTime);
    }

    /**
     * @param nanoTime says when executors were told to go, and how long ago that is
     */
    ExecutorRoster(LongSupplier nanoTime) {
        this.nanoTime = nanoTime;
    }

    /** Returns whether the executor is a new one. */
    synchronized boolean add(String executorId) {
        // In local mode the driver is announced as an executor of its own.
        if (executorId.equals("driver") || executors.containsKey(executorId)) {
            return false;
        }
        executors.put(executorId, new Executor(executorId, nextOrder++));
        notifyAll();
        return true;
    }

    /** Returns whether the executor was registered. */
    synchronized boolean remove(String executorId) {
        return executors.remove(executorId) != null;
    }

    synchronized int size() {
        return executors.size();
    }

    /**
     * Compares with the executors that Spark knows, and notes which it does not. Those that were told to go are not in
     * Spark's list any more, and their end is still to come; where it has not come in time, Spark has dropped it.
     *
     * @return registered ones that Spark does not know, without those whose end may still come
     */
    synchronized Set<String> unknownTo(Set<String> active) {
        Set<String> unknown = new HashSet<>();
        for (Executor executor : executors.values()) {
            executor.unknown = !active.contains(executor.id);
            if (executor.unknown && !isExpectedToEnd(executor)) {
                unknown.add(executor.id);
            }
        }
        return unknown;
    }

    /** Returns those of these executors that are not registered here. */
    synchronized Set<String> notRegistered(Set<String> active) {
        Set<String> missed = new HashSet<>(active);
        missed.removeAll(executors.keySet());
        return missed;
    }

    synchronized void taskStarted(String executorId) {
        Executor executor = executors.get(executorId);
        if (executor != null) {
            executor.runningTasks++;
        }
    }

    /** Returns whether the executor has nothing to do now. */
    synchronized boolean taskEnded(String executorId) {
        Executor executor = executors.get(executorId);
        if (executor == null) {
            return false;
        }
        executor.runningTasks = Math.max(0, executor.runningTasks - 1);
        return executor.runningTasks == 0;
    }

    /**
     * Notes that these executors were told to go, so that nobody counts on them.
     *
     * @param within how long that may take before they count as staying after all
     */
    synchronized void markLeaving(Collection<String> executorIds, Duration within) {
        for (String executorId : executorIds) {
            Executor executor = executors.get(executorId);
            if (executor != null) {
                executor.leaving = true;
                executor.leavingSince = nanoTime.getAsLong();
                executor.leavingNanos = within.toNanos();
            }
        }
    }

    /**
     * Executors that stay, those that are missed least first: the fewest running tasks, then the youngest,
     * which had the least time to collect cached partitions and shuffle files. One that was told to go, and that
     * Spark does not know any more, stays no longer, however late its end is seen.
     */
    synchronized List<String> stayingByLeastLoss() {
        List<Executor> staying = new ArrayList<>();
        for (Executor executor : executors.values()) {
            boolean gone = executor.leaving && executor.unknown;
            if (!gone && !isExpectedToEnd(executor)) {
                staying.add(executor);
            }
        }
        staying.sort(Comparator.comparingInt(Executor::runningTasks)
                .thenComparing(Comparator.comparingLong(Executor::order).reversed()));
        return staying.stream().map(executor -> executor.id).toList();
    }

    private boolean isExpectedToEnd(Executor executor) {
        return executor.leaving && nanoTime.getAsLong() - executor.leavingSince <= executor.leavingNanos;
    }

    /** Waits for a number of registered executors; returns whether they came in time. */
    synchronized boolean awaitSize(int size, Duration timeout) throws InterruptedException {
        long deadline = System.nanoTime() + timeout.toNanos();
        while (executors.size() < size) {
            long left = deadline - System.nanoTime();
            if (left <= 0) {
                return false;
            }
            TimeUnit.NANOSECONDS.timedWait(this, left);
        }
        return true;
    }
}
