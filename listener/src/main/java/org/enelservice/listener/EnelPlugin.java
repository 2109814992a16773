package org.enelservice.listener;

import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.SparkPlugin;

/**
 * Entry point that {@code spark.plugins} names. All work happens in the driver; executors only need the
 * class to be loadable, because Spark instantiates every plugin on both sides.
 */
public final class EnelPlugin implements SparkPlugin {

    /** Returns {@code null}, which Spark takes for nothing to run, where the plugin cannot work. */
    @Override
    public DriverPlugin driverPlugin() {
        return (DriverPlugin) EntryPoint.create("EnelDriverPlugin", null, null);
    }

    /** Returns {@code null}, which is how Spark is told that executors have nothing to run. */
    @Override
    public ExecutorPlugin executorPlugin() {
        return null;
    }
}
