package org.enelservice.listener;

import java.util.Map;
import java.util.TreeMap;

/**
 * How many executors the application had at which time. Not thread-safe: it belongs to the listener bus.
 *
 * <p>Lookups go by the times in the events and not by their order of arrival, because executors, stages and
 * jobs post their events from different threads.
 */
final class ExecutorTimeline {

    /** Drivers may live for months, and their executors come and go; what is older than these is forgotten. */
    private static final int MOST_CHANGES = 10_000;

    private final TreeMap<Long, Integer> countFrom = new TreeMap<>();
    private boolean forgetting;

    void added(long time) {
        change(time, 1);
    }

    void removed(long time) {
        change(time, -1);
    }

    private void change(long time, int by) {
        // What comes late, and is older than all that is kept, is part of what that begins with.
        long from = forgetting ? Math.max(time, countFrom.firstKey()) : time;
        Map.Entry<Long, Integer> before = countFrom.floorEntry(from);
        countFrom.putIfAbsent(from, before == null ? 0 : before.getValue());
        countFrom.tailMap(from, true).replaceAll((at, count) -> count + by);
        if (countFrom.size() > MOST_CHANGES) {
            countFrom.pollFirstEntry();
            forgetting = true;
        }
    }

    /**
     * The scale-out at a time, changes in the same millisecond included.
     *
     * <p>It is never below 1: a scale-out is positive by contract, and a moment without any executor (all lost,
     * or none registered yet) is not something that could have been chosen. Before the oldest change that is
     * kept, it is what that one led to.
     */
    int scaleOutAt(long time) {
        Map.Entry<Long, Integer> known = countFrom.floorEntry(time);
        Map.Entry<Long, Integer> entry = known == null && forgetting ? countFrom.firstEntry() : known;
        return entry == null ? 1 : Math.max(1, entry.getValue());
    }

    ScaleOutSpan between(long start, long end) {
        int first = scaleOutAt(start);
        int last = scaleOutAt(end);
        if (end <= start) {
            return new ScaleOutSpan(first, last, 0.0);
        }
        long rescaling = 0;
        long from = start;
        for (long until : countFrom.subMap(start, false, end, false).keySet()) {
            rescaling += rescalingTime(from, until, first, last);
            from = until;
        }
        rescaling += rescalingTime(from, end, first, last);
        return new ScaleOutSpan(first, last, (double) rescaling / (end - start));
    }

    private long rescalingTime(long from, long until, int first, int last) {
        int count = scaleOutAt(from);
        return count == first || count == last ? 0 : until - from;
    }
}
