package org.enelservice.listener;

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

    private Wiring wiring;
    private boolean applicationStarted;

    @Override
    public Map<String, String> init(SparkContext context, PluginContext pluginContext) {
        new ExecutionLog("none").guard("starting", () ->
                Wiring.start(context.getConf(), context.version(), context::applicationId, () -> context)
                        .ifPresent(started -> {
                            SparkCalls.listen(context, started.listener());
                            wiring = started;
                        }));
        return Map.of();
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
        if (wiring == null) {
            return;
        }
        applicationStarted = true;
        wiring.log().guard("waiting for the first executors", this::awaitInitialExecutors);
    }

    private void awaitInitialExecutors() {
        ListenerSettings settings = wiring.settings();
        int wanted = settings.initialExecutors();
        if (wanted <= 0 || wiring.local()) {
            return;
        }
        try {
            if (!wiring.roster().awaitSize(wanted, settings.initialExecutorsTimeout())) {
                wiring.log().warn("only {} of {} initial executors came within {}, going on without the others",
                        wiring.roster().size(), wanted, settings.initialExecutorsTimeout());
            }
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /**
     * Sends what is still unsent.
     *
     * <p>Spark has posted the end of the application by now but still delivers events, hence the wait for that
     * last event.
     */
    @Override
    public void shutdown() {
        if (wiring != null) {
            wiring.log().guard("stopping", () -> wiring.stop(applicationStarted));
        }
    }
}
