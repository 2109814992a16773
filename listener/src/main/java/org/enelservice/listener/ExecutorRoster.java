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

/** The registered executors and how busy they are; the driver is never one of them. Thread-safe. */
final class ExecutorRoster {

    /** How long an accepted kill may take before the executor counts as staying after all. */
    private static final long LEAVING_NANOS = TimeUnit.SECONDS.toNanos(60);

    private static final class Executor {
        final String id;
        final long order;
        int runningTasks;
        long leavingSince;
        boolean leaving;

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
    private long nextOrder;

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
     * Compares with the executors that Spark knows. Those that were told to go are not in Spark's list any more, and
     * their end is still to come.
     *
     * @return registered ones that Spark does not know
     */
    synchronized Set<String> unknownTo(Set<String> active) {
        Set<String> unknown = new HashSet<>();
        for (Executor executor : executors.values()) {
            if (!executor.leaving && !active.contains(executor.id)) {
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

    /** Notes that these executors were told to go, so that nobody counts on them. */
    synchronized void markLeaving(Collection<String> executorIds) {
        for (String executorId : executorIds) {
            Executor executor = executors.get(executorId);
            if (executor != null) {
                executor.leaving = true;
                executor.leavingSince = System.nanoTime();
            }
        }
    }

    /**
     * Executors that stay, those that are missed least first: the fewest running tasks, then the youngest,
     * which had the least time to collect cached partitions and shuffle files.
     */
    synchronized List<String> stayingByLeastLoss() {
        List<Executor> staying = new ArrayList<>();
        long now = System.nanoTime();
        for (Executor executor : executors.values()) {
            if (!executor.leaving || now - executor.leavingSince > LEAVING_NANOS) {
                staying.add(executor);
            }
        }
        staying.sort(Comparator.comparingInt(Executor::runningTasks)
                .thenComparing(Comparator.comparingLong(Executor::order).reversed()));
        return staying.stream().map(executor -> executor.id).toList();
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
