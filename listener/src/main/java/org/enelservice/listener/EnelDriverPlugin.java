package org.enelservice.listener;

import java.time.Duration;
import java.util.Map;
import org.apache.spark.SparkContext;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.PluginContext;

/**
 * Ties the plugin to the life of one driver: wiring in {@link #init}, waiting for the first executors in
 * {@link #registerMetrics}, sending what is left in {@link #shutdown}.
 *
 * <p>Spark lets exceptions of a plugin end the application, so nothing may escape from here.
 */
final class EnelDriverPlugin implements DriverPlugin {

    private final ExecutorRoster roster = new ExecutorRoster();
    private ExecutionLog log = new ExecutionLog("none");
    private ListenerSettings settings;
    private EnelListener listener;
    private Reporter reporter;
    private Rescaler rescaler;
    private boolean local;
    private boolean applicationStarted;

    @Override
    public Map<String, String> init(SparkContext context, PluginContext pluginContext) {
        log.guard("starting", () -> wire(context));
        return Map.of();
    }

    private void wire(SparkContext context) {
        ListenerSettings parsed;
        try {
            parsed = ListenerSettings.from(context.getConf(), System.getenv());
        } catch (IllegalArgumentException invalid) {
            log.warn("the listener is switched off, the application runs on without it: {}", invalid.getMessage());
            return;
        }
        log = new ExecutionLog(parsed.applicationExecutionId());
        local = context.isLocal();

        JobCollector jobs = new JobCollector();
        EventJson json = new EventJson(parsed, context::applicationId);
        rescaler = new Rescaler(parsed, new ExecutorAllocation(context), roster, jobs::lastStartedJobId, log);
        boolean rescales = parsed.canRescale() && !local;
        if (parsed.adaptive() && !rescales) {
            log.warn("the scale-out is left alone: {}", local
                    ? "a local application has no executors to add"
                    : ListenerSettings.PREFIX + "maxExecutors is not set");
        }
        ServiceClient client = new ServiceClient(parsed);
        reporter = new Reporter(client, parsed.restTimeout(), rescales, rescaler::accept, log);
        listener = new EnelListener(jobs, roster, rescaler, reporter, json, log);
        reporter.start();
        context.addSparkListener(listener);
        settings = parsed;
        log.info("reporting to {}", client);
    }

    /**
     * Holds the application back until its first executors are there, so that the first job runs with the
     * scale-out that was chosen for it.
     *
     * <p>Spark calls this last in the constructor of {@code SparkContext}: the task scheduler has asked for
     * executors and the listener bus runs on its own thread, so they register while this thread waits.
     */
    @Override
    public void registerMetrics(String applicationId, PluginContext pluginContext) {
        if (settings == null) {
            return;
        }
        applicationStarted = true;
        log.guard("waiting for the first executors", this::awaitInitialExecutors);
    }

    private void awaitInitialExecutors() {
        int wanted = settings.initialExecutors();
        if (wanted <= 0 || local) {
            return;
        }
        try {
            if (!roster.awaitSize(wanted, settings.initialExecutorsTimeout())) {
                log.warn("only {} of {} initial executors came within {}, going on without the others",
                        roster.size(), wanted, settings.initialExecutorsTimeout());
            }
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /**
     * Sends what is still unsent, for at most the flush timeout.
     *
     * <p>Spark has posted the end of the application by now but still delivers events, hence the wait for that
     * last event: the ends of the last jobs come before it.
     */
    @Override
    public void shutdown() {
        if (settings == null) {
            return;
        }
        log.guard("stopping", () -> {
            long deadline = System.nanoTime() + settings.flushTimeout().toNanos();
            rescaler.stop();
            reporter.stopPredictions();
            try {
                if (applicationStarted) {
                    listener.awaitApplicationEnd(remaining(deadline));
                }
                reporter.close(remaining(deadline));
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            }
        });
    }

    private static Duration remaining(long deadline) {
        return Duration.ofNanos(Math.max(0, deadline - System.nanoTime()));
    }
}
