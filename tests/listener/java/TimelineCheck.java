package org.enelservice.listener;

/** Has executors come and go 10,000 times, then one come that is told of late, and prints the first and last scale-out. */
final class TimelineCheck {

    private static final int TIMES = 10_000;

    public static void main(String[] arguments) {
        ExecutorTimeline timeline = new ExecutorTimeline();
        for (int time = 1; time <= 3; time++) {
            timeline.added(time);
        }
        for (int time = 1; time <= TIMES; time++) {
            timeline.added(10 + 2 * time);
            timeline.removed(11 + 2 * time);
        }
        System.out.println(timeline.between(1, 12 + 2 * TIMES));
        timeline.added(5);
        System.out.println(timeline.between(1, 12 + 2 * TIMES));
    }
}
