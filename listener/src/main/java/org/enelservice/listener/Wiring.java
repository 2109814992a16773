package org.enelservice.listener;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;

/**
 * What one driver's reports and rescalings are made by, put together from its conf; the plugin and the extra listener
 * differ in how they come to it, and in when they stop it.
 *
 * @param local whether the application has no executors but the driver
 */
record Wiring(
        ListenerSettings settings,
        boolean local,
        ExecutorRoster roster,
        EnelListener listener,
        Reporter reporter,
        Rescaler rescaler,
        ExecutionLog log) {

    /**
     * Starts what sends the reports; the listener is the caller's to register. Empty, with a line in the log, where a
     * setting is missing or invalid.
     *
     * @param applicationId asked at every event, for Spark knows it late
     * @param context asked for when it is needed, for it may not be there yet
     */
    static Optional<Wiring> start(SparkConf conf, String sparkVersion, Supplier<String> applicationId,
            Supplier<SparkContext> context) {
        ListenerSettings settings;
        try {
            settings = ListenerSettings.from(conf, System.getenv());
        } catch (IllegalArgumentException invalid) {
            new ExecutionLog("none").warn("the listener is switched off, the application runs on without it: {}",
                    invalid.getMessage());
            return Optional.empty();
        }
        ExecutionLog log = new ExecutionLog(settings.applicationExecutionId());
        String master = conf.get("spark.master", "");
        boolean local = master.equals("local") || master.startsWith("local[");
        boolean rescales = rescales(settings, local, sparkVersion, log);
        ExecutorRoster roster = new ExecutorRoster();
        JobCollector jobs = new JobCollector();
        EventJson json = new EventJson(settings, applicationId);
        Rescaler rescaler = new Rescaler(settings, new ExecutorAllocation(context), roster, jobs::lastStartedJobId, log);
        RosterAudit audit = new RosterAudit(roster, jobs.executors(),
                () -> local ? List.of() : SparkCalls.executorIds(context.get()), rescaler::execute,
                settings.rosterGrace(), log);
        ServiceClient client = new ServiceClient(settings);
        Reporter reporter = new Reporter(client, settings.restTimeout(), rescales, rescaler::accept, log);
        EnelListener listener = new EnelListener(jobs, roster, rescaler, reporter, json, audit, log);
        reporter.start();
        log.info("reporting to {}", client);
        return Optional.of(new Wiring(settings, local, roster, listener, reporter, rescaler, log));
    }

    /** Whether recommendations are asked for; says why not where they are wanted, and what else is missing. */
    private static boolean rescales(ListenerSettings settings, boolean local, String sparkVersion, ExecutionLog log) {
        boolean reportsJobs =
                isWhole(sparkVersion, SparkCalls.missingForReports(), "no job can be reported", log);
        if (!settings.adaptive()) {
            return false;
        }
        if (local || !settings.canRescale()) {
            log.warn("the scale-out is left alone: {}", local
                    ? "a local application has no executors to add"
                    : ListenerSettings.PREFIX + "maxExecutors is not set");
            return false;
        }
        return reportsJobs
                && isWhole(sparkVersion, SparkCalls.missingForRescaling(), "the scale-out is left alone", log);
    }

    private static boolean isWhole(String sparkVersion, List<String> missing, String consequence, ExecutionLog log) {
        if (!missing.isEmpty()) {
            log.warn("Spark {} is none that this plugin knows, {}: it has no {}", sparkVersion, consequence,
                    String.join(", no ", missing));
        }
        return missing.isEmpty();
    }

    /**
     * Sends what is still unsent, for at most the flush timeout.
     *
     * @param awaitsEnd whether the application's end, and those of its last jobs, are still to be seen
     */
    void stop(boolean awaitsEnd) {
        long deadline = System.nanoTime() + settings.flushTimeout().toNanos();
        rescaler.stop();
        reporter.stopPredictions();
        try {
            if (awaitsEnd) {
                listener.awaitApplicationEnd(remaining(deadline));
            }
            listener.reportEnd();
            reporter.close(remaining(deadline));
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private static Duration remaining(long deadline) {
        return Duration.ofNanos(Math.max(0, deadline - System.nanoTime()));
    }
}
